"""What the agent may not read waits, so much of it that no stranger can make it much."""

import math
from collections import deque

from pdagent.daemon import denials
from pdagent.daemon.denials import Denials


def test_what_waits_is_left_for_a_while() -> None:
    """From the first on, whatever comes to it. Then all of it is looked at once more."""
    found = Denials()
    assert found.begin(100.0) == math.inf
    assert found.wait(1, "a", 100.0)
    assert found.wait(2, "b", 110.0)
    assert found.begin(120.0) == denials.SECONDS - 20.0
    assert found.others({1: ["a", "b"], 2: ["b"], 3: []}) == {1: deque("b"), 2: deque(), 3: deque()}
    assert found.begin(100.0 + denials.SECONDS) == math.inf
    assert found.others({1: ["a"]}) == {1: deque("a")}


def test_a_bounded_number_of_each_user_waits() -> None:
    """Others have room all the same."""
    found = Denials()
    assert all(found.wait(1, f"{number}", 0.0) for number in range(denials.MOST))
    assert not found.wait(1, "one more", 0.0)
    assert found.wait(2, "another", 0.0)

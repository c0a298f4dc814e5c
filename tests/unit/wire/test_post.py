"""Posts: how much time they have, and what they remember."""

import math
import time

import pytest

from pdagent.wire.post import Post


def test_a_new_post() -> None:
    """Nothing of it has happened."""
    post = Post(1000.0)
    assert (post.deadline, post.twin) == (1000.0, None)
    happened = (post.fresh, post.begun, post.sent, post.reused, post.overdue)
    assert happened == (False, False, False, False, False)
    assert Post(1000.0, True).fresh


def test_a_posts_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its deadline nothing is left."""
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    assert Post(1000.5).left() == 0.5
    post = Post(1000.0)
    with pytest.raises(TimeoutError, match=r"^timed out$"):
        post.left()
    assert post.overdue
    post.deadline = math.inf
    with pytest.raises(TimeoutError):  # once it is over it stays so
        post.left()


def test_a_post_has_one_deadline() -> None:
    """What is left of it bounds each wait; after it there is none."""
    post = Post(time.monotonic() + 100)
    assert post.left(5) == 5
    assert 5 < post.left() <= 100
    late = Post(time.monotonic() - 1)
    with pytest.raises(TimeoutError):
        late.left()
    assert late.overdue

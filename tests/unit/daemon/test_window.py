"""What is kept in mind of a queue that anyone can fill, and that order holds at its edge."""

import pytest

from pdagent.daemon import window
from pdagent.daemon.window import Window
from pdagent.queue.names import key_of
from tests.unit.schedule.test_turns import NEIGHBOUR, VICTIM


class Crew:
    """What the window asks of the workers."""

    def __init__(self) -> None:
        self.left_out = 0
        self.taken: list[tuple[str, int]] = []

    def pending_of(self, owner: int) -> int:
        return sum(other == owner for _, other in self.taken)

    @property
    def owners(self) -> int:
        return len({owner for _, owner in self.taken})

    def lane(self, name: str) -> str:
        return key_of(name) or ""


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Crew:
    monkeypatch.setattr(window, "OWNER_MOST", 40)
    monkeypatch.setattr(window, "OWNER_LEAST", 10)
    return Crew()


def look(made: Window, crew: Crew, names: list[tuple[str, int]]) -> list[str]:
    made.begin()
    for name, owner in names:
        if (name, owner) not in crew.taken:
            made.see(name, owner)
    admitted = made.admitted()
    crew.taken += admitted
    return [name for name, _ in admitted]


def test_a_users_events_are_taken_oldest_first_and_no_more_than_fit(crew: Crew) -> None:
    """The rest comes as room is made; nothing is left for ever, and the number is known."""
    made = Window(crew)  # type: ignore[arg-type]
    there = [(f"{n}_K{n}.txt", NEIGHBOUR) for n in reversed(range(100))]
    seen = look(made, crew, there)
    assert seen == [f"{n}_K{n}.txt" for n in range(40)]
    assert crew.left_out == 60
    while there:
        done, crew.taken = crew.taken, []
        there = [entry for entry in there if entry not in done]
        seen += look(made, crew, there)
    assert seen == [f"{n}_K{n}.txt" for n in range(100)]
    assert crew.left_out == 0
    assert not made.has_left_out


def test_another_users_event_comes_in(crew: Crew) -> None:
    """By a look and by a wake: his room is his own."""
    made = Window(crew)  # type: ignore[arg-type]
    there = [(f"{n}_K{n}.txt", NEIGHBOUR) for n in range(100)]
    seen = look(made, crew, [*there, ("500_V.txt", VICTIM)])
    assert "500_V.txt" in seen
    assert made.admits("501_V.txt", VICTIM)
    assert not made.admits("501_X.txt", NEIGHBOUR)


def test_order_holds_at_the_edge(crew: Crew) -> None:
    """A resolve of one user's does not come in before a trigger of another's that was left out."""
    made = Window(crew)  # type: ignore[arg-type]
    there = [(f"{n}_K.txt", NEIGHBOUR) for n in range(100)]
    seen = look(made, crew, [*there, ("500_K.txt", VICTIM), ("500_V.txt", VICTIM)])
    assert "500_V.txt" in seen
    assert "500_K.txt" not in seen
    assert not made.admits("501_K.txt", VICTIM)
    assert made.admits("0_K.txt", VICTIM)
    assert crew.left_out == 82

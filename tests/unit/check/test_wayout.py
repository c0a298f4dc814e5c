"""One question for all lines about the network, on each way out."""

from pdagent.check.wayout import Way, best, once
from pdagent.config import Config
from pdagent.wire.question import Answer


def test_asked_once() -> None:
    """All lines about the network share one question."""
    asked = []

    def ask() -> Answer:
        asked.append(1)
        return Answer(200)

    shared = once(ask)
    assert shared() is shared()
    assert len(asked) == 1


def way(answer: Answer) -> Way:
    made = Way(Config({}))
    made.ask = lambda: answer
    return made


def test_the_first_way_that_leads_out_counts() -> None:
    """Where none does, the first one says why."""
    shut, good, other = Answer(why="shut"), Answer(400), Answer(401)
    assert best([way(shut), way(good), way(other)])() is good
    assert best([way(shut), way(Answer(why="also"))])() is shut

"""The table of rules: complete, and the same in the code and on the page that shows it."""

from itertools import pairwise
from typing import get_args

from pdagent.queue.holds import Scope
from pdagent.schedule.rules import RULES, Fate, Known, Rule
from pdagent.wire.verdict import Verdict
from tests.support.documents import REPOSITORY

HEAD = ["| verdict | what else is known | ends | is held | because | the event is |"]
ENDS = {Scope.KEY: "the key's hold", Scope.DESTINATION: "the outage"}
HELD = {
    Scope.CHAIN: "the dedup key",
    Scope.KEY: "the integration key",
    Scope.DESTINATION: "all but one probe",
}
EVENT = {
    Fate.DELIVERED: "delivered",
    Fate.REFUSED: "in error",
    Fate.GIVEN_UP: "in error",
    Fate.WAITS: "pending",
}


def row(verdict: type[Verdict], known: Known, rule: Rule) -> str:
    """One rule as a row of the table."""
    ends = ", ".join(ENDS[scope] for scope in rule.ends) or "nothing"
    held = ", ".join(HELD[scope] for scope in rule.holds) or "nothing"
    cause = str(rule.cause) if rule.holds else ""
    cells = (verdict.__name__, known.value, ends, held, cause, EVENT[rule.fate])
    return "| " + " | ".join(cells) + " |"


def test_the_page_shows_the_table() -> None:
    """Word for word: what is not in the table can't happen."""
    table = [*HEAD, "|---" * 6 + "|", *(row(*key, rule) for key, rule in RULES.items())]
    assert "\n".join(table) in (REPOSITORY / "docs" / "promises.md").read_text(), "\n".join(table)


def test_each_verdict_and_all_that_can_be_known_has_its_rule() -> None:
    """There is no verdict without consequences, and no row that is never reached."""
    assert {verdict for verdict, _ in RULES} == set(get_args(Verdict))
    assert {known for _, known in RULES} == set(Known)


def test_what_waits_is_held_and_what_leaves_is_not() -> None:
    """Holds go from the narrowest to the widest, and a hold has a cause."""
    width = list(Scope)
    for rule in RULES.values():
        assert bool(rule.holds) is (rule.fate is Fate.WAITS)
        assert all(width.index(a) < width.index(b) for a, b in pairwise(rule.holds))
        assert (rule.cause is None) is (rule.fate is not Fate.WAITS)

"""What the log says of verdicts, and that nobody can flush it."""

import logging

import pytest

from pdagent.daemon.logbook import SAID_MOST, SAID_SECONDS, Reasons, Sparing, note
from pdagent.queue.holds import Scope
from pdagent.queue.pending import understand
from pdagent.schedule.entry import Entry
from pdagent.schedule.rules import Fate, Ruling
from pdagent.wire.verdict import Delivered, Refused, Throttled, Troubled, Unreachable, Verdict

KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"
NAME = f"17_{KEY}.txt"
BODY = f'{{"service_key":"{KEY}","event_type":"trigger","incident_key":"a\\n{KEY}"}}'.encode()
EVENT = "17_*0617 (trigger, incident_key = a?*0617)"


@pytest.mark.parametrize(
    ("verdict", "ruling", "line"),
    [
        (Delivered(202), Ruling(Fate.DELIVERED), f"delivered {EVENT}: 202 in 1500 ms"),
        (Refused(400, f"bad {KEY}"), Ruling(Fate.REFUSED), f"refused {EVENT}: 400 bad *0617"),
        (
            Throttled(429, None), Ruling(Fate.WAITS, Scope.KEY, 5.0),
            f"throttled {EVENT}: 429; key held for 5.0 s",
        ),
        (
            Troubled("answered 500"), Ruling(Fate.WAITS, Scope.CHAIN, 0.5),
            f"failed {EVENT}: answered 500; event held for 0.5 s",
        ),
        (
            Troubled("answered 500"), Ruling(Fate.GIVEN_UP),
            f"failed {EVENT}: answered 500; given up",
        ),
        (
            Unreachable("reset"), Ruling(Fate.WAITS, Scope.CHAIN, 2.0),
            f"not sent {EVENT}: reset; next try in 2.0 s",
        ),
    ],
)  # fmt: skip
def test_each_verdict_is_one_line_without_the_key(
    caplog: pytest.LogCaptureFixture, verdict: Verdict, ruling: Ruling, line: str
) -> None:
    """Neither a sender's dedup key nor PagerDuty's words can bring it in, or break the line."""
    caplog.set_level(logging.INFO)
    note(Entry(NAME, KEY), understand(NAME, BODY), verdict, ruling, 1.5)
    assert [record.getMessage() for record in caplog.records] == [line]


def test_a_users_files_have_so_many_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The rest shares one, once the time is over; other users have their own."""
    now = [0.0]
    sparing = Sparing("files were set aside", lambda: now[0])
    assert [sparing.may_say(1) for _ in range(SAID_MOST + 5)] == [True] * SAID_MOST + [False] * 5
    assert sparing.may_say(2)
    sparing.say_rest()
    assert caplog.text == ""
    now[0] = SAID_SECONDS
    sparing.say_rest()
    [record] = caplog.records
    assert record.getMessage() == "5 more files were set aside, those of uid 1"
    assert sparing.may_say(1)


def test_each_reason_of_an_outage_is_said_once() -> None:
    """Whoever answers may give a new one each time, so there are so many of one outage."""
    reasons = Reasons()
    assert [reasons.may_say(why) for why in ("a", "b", "a", "b")] == [True, True, False, False]
    assert [reasons.may_say(f"{n}") for n in range(SAID_MOST)].count(True) == SAID_MOST - 2
    assert not reasons.may_say("")  # it is over
    assert reasons.may_say("a")

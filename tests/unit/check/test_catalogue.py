"""Checks run at once; none can stop, delay or break another."""

import threading
from collections.abc import Iterator

from pdagent.check.catalogue import Check, run
from pdagent.check.finding import Finding, Level, ok


def test_order_is_that_of_the_checks() -> None:
    """Whoever is done first, the findings come in the order of the catalogue."""
    second_done = threading.Event()

    def first() -> Iterator[Finding]:
        assert second_done.wait(10)
        yield ok("first", "")

    def second() -> Iterator[Finding]:
        yield ok("second", "")
        second_done.set()

    found = run([Check("first", first), Check("second", second)])
    assert [finding.subject for finding in found] == ["first", "second"]


def test_a_bug_is_a_finding() -> None:
    """An exception is reported as what it is; what was found before it is kept."""

    def breaks() -> Iterator[Finding]:
        yield ok("breaks", "so far")
        raise ValueError("of a sort")

    before, after = run([Check("breaks", breaks)])
    assert before.text == "so far"
    assert after.level is Level.FAILED
    assert after.text == "could not be checked: ValueError: of a sort"


def test_no_permission_is_no_failure() -> None:
    """What this user may not see is said to be unknown, by its path."""

    def hidden() -> Iterator[Finding]:
        raise PermissionError(13, "Permission denied", "/secret")
        yield

    [finding] = run([Check("hidden", hidden)])
    assert finding.level is Level.UNKNOWN
    assert "/secret" in finding.text


def test_one_that_hangs_is_left_behind() -> None:
    """After the time-out it is said to have failed, and the others' findings are there."""
    for_ever = threading.Event()

    def hangs() -> Iterator[Finding]:
        for_ever.wait()
        yield ok("hangs", "")

    def works() -> Iterator[Finding]:
        yield ok("works", "")

    for seconds in (0.2, 2.0, 20.0):  # the other one needs some of it on a busy machine
        hung, fine = run([Check("hangs", hangs), Check("works", works)], seconds=seconds)
        if fine.level is Level.OK:
            break
    for_ever.set()
    assert hung.level is Level.FAILED
    assert "no answer within" in hung.text
    assert fine.level is Level.OK

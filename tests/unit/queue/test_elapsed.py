"""How much time has gone by, whatever befell clocks and host."""

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdagent.queue import elapsed as module
from pdagent.queue.elapsed import (
    BOOT_VARIABLE,
    Moment,
    asleep,
    due,
    elapsed,
    is_known_before,
    is_other_boot,
    is_same_boot,
    moment_of,
    present,
    was_off,
)

HOUR, DAY, YEAR = 3600.0, 86_400.0, 31_536_000.0
START = Moment(1.8e9, 5000.0, 5000.0, "boot one")


def later(seconds: float, stepped: float = 0.0, slept: float = 0.0) -> Moment:
    """In the same boot."""
    return Moment(
        START.wall + seconds + stepped,
        START.running + seconds,
        START.awake + seconds - slept,
        START.boot,
    )


def next_boot(off: float, running: float = 60.0, stepped: float = 0.0) -> Moment:
    """So long after the host was switched off at START."""
    return Moment(START.wall + off + running + stepped, running, running, "boot two")


@pytest.mark.parametrize("stepped", [0.0, YEAR, -YEAR, -START.wall])
def test_a_clock_that_is_stepped_changes_nothing_within_a_boot(stepped: float) -> None:
    """Nor does sleep: the time went by."""
    assert elapsed(START, later(DAY, stepped)) == DAY
    assert elapsed(START, later(DAY, stepped, slept=DAY)) == DAY


def test_across_boots_the_wall_clock_counts() -> None:
    """There is nothing else."""
    assert elapsed(START, next_boot(DAY)) == DAY + 60


def test_the_time_since_the_boot_has_gone_by_in_any_case() -> None:
    """A host without a battery for its clock, which begins in 1970."""
    assert elapsed(START, next_boot(DAY, HOUR, stepped=-START.wall)) == HOUR


def test_time_never_goes_backwards() -> None:
    """Somebody wrote a moment that is to come."""
    assert elapsed(later(DAY), START) == 0.0
    assert elapsed(Moment(9e9, 0.0, 0.0, ""), next_boot(DAY)) == 0.0


def test_a_boot_that_is_not_known_is_not_the_same_boot() -> None:
    """In a sandbox that hides it, the wall clock is all there is."""
    unknown = Moment(START.wall, START.running, START.awake, "")
    assert not is_same_boot(unknown, unknown)
    assert elapsed(unknown, Moment(START.wall + 9, 1e6, 1e6, "")) == 9.0


def test_another_start_of_a_container_may_be_of_the_same_boot() -> None:
    """The kernel has run for months, and says nothing of the time since a moment within."""
    here = replace(START, boot="container", contained=True)
    again = Moment(START.wall + 9, 1e6, 1e6, "its next start", contained=True)
    outside = replace(again, boot="host", contained=False)
    for since, now in ((here, again), (here, outside), (replace(outside, wall=START.wall), here)):
        assert not is_same_boot(since, now)
        assert not is_other_boot(since, now)
        assert elapsed(since, now) == max(0.0, now.wall - since.wall)
        assert not was_off(since, now, 1.0)
    assert elapsed(here, replace(here, wall=0.0, running=START.running + DAY)) == DAY


def test_which_of_two_moments_of_a_boot_was_before() -> None:
    """The wall clock may say otherwise, and what is yet to come is not believed."""
    one, other = later(10.0), later(20.0, stepped=-100.0)
    assert is_known_before(one, other, later(20.0))
    assert is_known_before(one, other, next_boot(5.0, running=1.0))
    assert not is_known_before(other, one, later(20.0))
    assert not is_known_before(one, one, later(20.0))
    assert not is_known_before(one, other, later(19.0))
    assert not is_known_before(one, replace(other, boot="another"), later(20.0))
    assert not is_known_before(replace(one, boot=""), replace(other, boot=""), later(20.0))


def test_sleep_is_known_within_a_boot() -> None:
    """From the clock that stands still meanwhile."""
    assert asleep(START, later(DAY, slept=HOUR)) == HOUR
    assert asleep(START, later(DAY)) == 0.0
    assert asleep(START, next_boot(DAY)) == 0.0


def test_a_host_that_was_off_is_why_nobody_renewed() -> None:
    """It was off, or asleep, when the term was over; else it was not the host."""
    assert was_off(START, next_boot(DAY), HOUR)
    assert not was_off(START, next_boot(60.0, DAY), HOUR)
    assert not was_off(START, next_boot(HOUR), HOUR)
    assert was_off(START, later(DAY, slept=DAY - 60), HOUR)
    assert not was_off(START, later(DAY, slept=60), HOUR)
    assert not was_off(START, later(HOUR), HOUR)


def test_what_is_left_of_a_term() -> None:
    """And none is left for ever."""
    assert due(START, DAY, later(HOUR)) == DAY - HOUR
    assert due(START, HOUR, later(DAY)) < 0
    assert due(START, math.inf, later(DAY)) == 0.0


WRITTEN: dict[str, object] = {
    "wall": 1.5e9,
    "running": 70.5,
    "awake": 60.5,
    "boot": "boot one",
    "contained": True,
}


def test_a_moment_is_read_as_it_was_written() -> None:
    """Before containers were told apart it did not say where it was."""
    moment = Moment(1.5e9, 70.5, 60.5, "boot one", contained=True)
    assert moment.fields() == WRITTEN
    assert moment_of(WRITTEN) == moment
    assert moment_of(WRITTEN | {"wall": 3, "boot": "x" * 64}) == replace(
        moment, wall=3.0, boot="x" * 64
    )
    del (before := dict(WRITTEN))["contained"]
    for fields in (before, WRITTEN | {"contained": 1}, WRITTEN | {"contained": False}):
        assert moment_of(fields) == replace(moment, contained=False)


@pytest.mark.parametrize("name", ["wall", "running", "awake", "boot"])
@pytest.mark.parametrize("wrong", [1e15, -1e15, math.nan, True, "x" * 65, None])
def test_a_moment_with_one_field_that_is_none(name: str, wrong: object) -> None:
    """No clock shows so much, and no boot has such a name."""
    with pytest.raises(ValueError, match="moment"):
        moment_of(WRITTEN | {name: wrong})


CLOCKS = st.one_of(st.floats(), st.floats(-1e15, 1e15))


@given(
    st.fixed_dictionaries(
        {
            "wall": st.one_of(CLOCKS, st.integers(), st.booleans(), st.text(max_size=3)),
            "running": CLOCKS,
            "awake": CLOCKS,
            "boot": st.one_of(st.text(max_size=80), st.just(START.boot), st.none()),
        },
        optional={"contained": st.one_of(st.booleans(), st.integers(), st.text(max_size=3))},
    )
)
def test_a_moment_that_somebody_wrote_is_one_or_is_refused(fields: dict[str, object]) -> None:
    """And one can reckon with it."""
    try:
        found = moment_of(fields)
    except ValueError:
        return
    assert moment_of(found.fields()) == found
    assert math.isfinite(elapsed(found, START))
    assert math.isfinite(elapsed(START, found))


@pytest.mark.parametrize("fields", [None, [], "x", 10**400, {"wall": 10**400}])
def test_anything_else_is_no_moment(fields: object) -> None:
    """Numbers beyond a float's among it."""
    with pytest.raises(ValueError, match="moment"):
        moment_of(fields)


def test_the_present_moment_is_one_of_this_boot() -> None:
    """By the kernel's own clocks."""
    one, other = present(), present()
    assert is_same_boot(one, other)
    assert abs(one.wall - time.time()) < 60
    assert 0.0 <= elapsed(one, other) < 60
    assert abs(one.awake - time.monotonic()) < 60
    assert moment_of(one.fields()) == one


@pytest.mark.parametrize(
    ("file", "manager", "name", "contained"),
    [
        ("/proc/sys/kernel/ostype", True, "Linux", False),
        ("boot", False, "9c3e0001", True),
        ("nowhere", False, "9c3e0002", False),
        ("nowhere", True, "9c3e0002", True),
    ],
)
def test_who_names_the_boot(
    file: str,
    manager: bool,
    name: str,
    contained: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel, a container in its place, or else the service's unit: in one spelling."""
    (tmp_path / "boot").write_text("9c3e-0001\n")
    monkeypatch.setenv(BOOT_VARIABLE, "9c3e0002")
    monkeypatch.setattr(module, "_BOOT_FILE", str(tmp_path / file))
    monkeypatch.setattr(module, "_CONTAINER_FILE", str(tmp_path / ("boot" if manager else "none")))
    assert module._boot_id.__wrapped__() == (name, contained)

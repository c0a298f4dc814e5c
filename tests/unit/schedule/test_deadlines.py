"""Each expectation lapses when its term is over, and not before, whatever the clocks do."""

from hypothesis import given
from hypothesis import strategies as st

from pdagent.queue.elapsed import Moment, elapsed
from pdagent.schedule.deadlines import SPARE, STEP_SECONDS, Deadlines

YEAR = 31_536_000.0
NOW = Moment(1.8e9, 1e6, 1e6, "this")


def at(seconds: float, stepped: float = 0.0) -> Moment:
    return Moment(NOW.wall + seconds + stepped, NOW.running + seconds, 0.0, NOW.boot)


def test_the_first_deadline_is_the_next() -> None:
    """And each is taken once."""
    deadlines = Deadlines()
    assert deadlines.next(NOW) is None
    deadlines.set("b", NOW, 20.0, NOW)
    deadlines.set("a", NOW, 10.0, NOW)
    assert deadlines.next(at(4.0)) == 6.0
    assert deadlines.take(at(9.0)) == []
    assert deadlines.take(at(30.0)) == ["a", "b"]
    assert deadlines.next(at(30.0)) is None
    assert len(deadlines) == 0


def test_a_renewal_takes_the_place_of_the_one_before() -> None:
    """So does one with a shorter term."""
    deadlines = Deadlines()
    deadlines.set("a", NOW, 10.0, NOW)
    deadlines.set("a", at(8.0), 10.0, at(8.0))
    assert deadlines.take(at(12.0)) == []
    deadlines.set("a", at(12.0), 1.0, at(12.0))
    assert deadlines.take(at(13.0)) == ["a"]
    assert deadlines.take(at(99.0)) == []


def test_what_is_dropped_is_never_due() -> None:
    """Somebody cancelled it."""
    deadlines = Deadlines()
    deadlines.set("a", NOW, 10.0, NOW)
    deadlines.drop("a")
    deadlines.drop("a")
    assert deadlines.next(NOW) is None
    assert deadlines.take(at(99.0)) == []


def test_a_year_forward_pages_nobody_of_this_boot() -> None:
    """A clock that was wrong, and is put right."""
    deadlines = Deadlines()
    deadlines.set("a", NOW, 86_400.0, NOW)
    assert deadlines.take(at(10.0, YEAR)) == []
    assert deadlines.next(at(10.0, YEAR)) == 86_390.0


def test_a_clock_that_is_put_right_shows_what_lapsed_while_the_host_was_off() -> None:
    """It began in 1970, since it has no battery."""
    deadlines = Deadlines()
    before = Moment(NOW.wall - 86_400, 5.0, 5.0, "that")
    deadlines.set("a", before, 3600.0, Moment(0.0, 10.0, 10.0, "this"))
    assert deadlines.take(Moment(20.0, 30.0, 30.0, "this")) == []
    stepped = Moment(NOW.wall, 40.0, 40.0, "this")
    assert deadlines.next(stepped) == 0.0
    assert deadlines.take(stepped) == ["a"]


def test_what_is_renewed_again_and_again_takes_no_more_room() -> None:
    """Each renewal leaves its predecessor in the heap, for a while."""
    deadlines = Deadlines()
    for number in range(100 * SPARE):
        deadlines.set("a", at(number), 1000.0, at(number))
        assert len(deadlines._heap) <= 2 + SPARE


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["this", "that", ""]),
        st.floats(0.0, 50.0),  # of its term
        st.floats(0.0, 30.0),  # until the next one
        st.one_of(st.just(0.0), st.floats(-100.0, 100.0), st.sampled_from([YEAR, -YEAR])),
    ),
    max_size=30,
)


@given(STEPS)
def test_as_a_list_without_any_cleverness(
    steps: list[tuple[str, str, float, float, float]],
) -> None:
    """Renewals of this boot and others, while the wall clock is stepped this way and that."""
    deadlines = Deadlines()
    model: dict[str, tuple[Moment, float]] = {}
    running, offset = 1000.0, 1.8e9
    for name, boot, term, pause, step in steps:
        now = Moment(offset + running, running, running, "this")
        since = Moment(now.wall, running, running, boot)
        deadlines.set(name, since, term, now)
        model[name] = since, term
        running, offset = running + pause, offset + step
        now = Moment(offset + running, running, running, "this")
        left = deadlines.next(now)
        taken = deadlines.take(now)
        assert left is not None
        assert not taken or left == 0.0
        for each, (since, term) in list(model.items()):
            gone = elapsed(since, now)
            slack = 1e-3 if since.boot == "this" else STEP_SECONDS + 1e-3
            if gone >= term + slack:
                assert each in taken
            if gone < term - slack:
                assert each not in taken
        for each in taken:
            del model[each]
        assert len(deadlines) == len(model)

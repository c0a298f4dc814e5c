"""An event that has passed an agent is known there when it comes back."""

from pdagent.wire.passage import KEPT_SECONDS, NAMES_MOST, Passage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_comes_back_at_once() -> None:
    """A relay that sends to itself."""
    one = Passage()
    assert one.has_seen(one.header())


def test_it_comes_back_by_way_of_others() -> None:
    """However many, and wherever the event came from."""
    one, two, three = Passage(), Passage(), Passage()
    assert not one.has_seen(Passage().header())
    assert not two.has_seen(one.header())
    assert not three.has_seen(two.header())
    assert one.has_seen(three.header())


def test_two_senders_of_one_relay() -> None:
    """Neither has seen what the other sends."""
    relay, one, two = Passage(), Passage(), Passage()
    assert not relay.has_seen(one.header())
    assert not relay.has_seen(two.header())
    assert not two.has_seen(one.header())


def test_a_circle_that_was_mended() -> None:
    """Whoever has another configuration takes what it did not take before."""
    one, two = Passage(), Passage()
    assert not two.has_seen(one.header())
    assert one.has_seen(two.header())
    one.renew()
    assert not one.has_seen(two.header())


def test_names_are_forgotten() -> None:
    """After a while, and where there are too many; whatever a stranger writes is none."""
    clock = Clock()
    one, relay = Passage(), Passage(clock)
    assert not relay.has_seen(one.header())
    clock.now = KEPT_SECONDS + 1
    assert not one.has_seen(relay.header())
    for _ in range(NAMES_MOST + 5):
        assert not relay.has_seen(Passage().header())
    assert len(relay.header().split(", ")) == NAMES_MOST + 1
    own = relay.header()[:16]
    assert not relay.has_seen("x" * 16_000 + "\r\n" + "0" * 15)
    assert relay.header().startswith(own)

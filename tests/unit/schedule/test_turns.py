"""Users in turn, then their keys; and a place for whoever has nothing on his way."""

from pdagent.schedule import patience
from pdagent.schedule.entry import Entry
from pdagent.schedule.limits import Limits
from pdagent.schedule.scheduler import Scheduler
from pdagent.schedule.turns import HEAVY_OF_ONE, HEAVY_PLACES, SPARE
from pdagent.wire.verdict import Delivered, Unreachable

NEIGHBOUR, VICTIM, THIRD = 1, 2, 3
PLACES = 8


def scheduler(places: int = PLACES) -> Scheduler:
    return Scheduler(Limits(60.0, 3, places, 1), lambda: 0.5)


def place(entry: Entry) -> tuple[str, str, int]:
    return "incomplete", entry.key, entry.owner


def claimed(found: Scheduler, now: float = 0.0) -> list[Entry]:
    entries = []
    while (entry := found.claim(now)) is not None:
        entries.append(entry)
    return entries


def served(found: Scheduler, number: int) -> list[int]:
    """Has so many events delivered, one after the other; whose they were."""
    order: list[int] = []
    while len(order) < number:
        entry = found.claim(0.0)
        assert entry is not None
        order.append(entry.owner)
        found.settle(entry, Delivered(202), 0.0, 0.0)
        found.forget(entry)
    return order


def test_a_user_of_many_keys_has_one_turn_in_two() -> None:
    """50,000 keys of one user are one turn of his, not 50,000."""
    found = scheduler(1)
    for number in range(50_000):
        found.add(f"{number}_K{number}.txt", f"K{number}", owner=NEIGHBOUR)
    for number in range(3):
        found.add(f"{number}_V{number}.txt", f"V{number}", owner=VICTIM)
    order = served(found, 7)
    assert order.count(VICTIM) == 3
    assert order[:2] in ([NEIGHBOUR, VICTIM], [VICTIM, NEIGHBOUR])


def test_whoever_has_nothing_on_his_way_finds_a_place() -> None:
    """All posts of one user may hang: there are a few places for others."""
    found = scheduler()
    for number in range(100):
        found.add(f"{number}_K{number}.txt", f"K{number}", owner=NEIGHBOUR)
    assert len(claimed(found)) == PLACES
    found.add("1_V.txt", "V", owner=VICTIM)
    found.add("1_W.txt", "W", owner=VICTIM)
    assert [entry.owner for entry in claimed(found)] == [VICTIM]
    for owner in range(10, 30):
        found.add(f"1_O{owner}.txt", f"O{owner}", owner=owner)
    assert len(claimed(found)) == SPARE - 1


def test_who_finds_no_place_is_no_work() -> None:
    """No worker is woken for an event that has none: with many keys that was two in vain for each
    event."""
    found = scheduler()
    for number in range(PLACES + 1):
        assert found.has_work(0.0) is (number > 0)
        found.add(f"{number}_K{number}.txt", f"K{number}", owner=NEIGHBOUR)
    first, *_ = claimed(found)
    assert len(found) == PLACES + 1
    assert not found.has_work(0.0)
    found.forget(first)
    assert found.has_work(0.0)
    assert len(claimed(found)) == 1
    found.add("1_V.txt", "V", owner=VICTIM)
    assert found.has_work(0.0)


def test_large_events_have_few_places() -> None:
    """And one user half of these, so that memory is bounded and another's large page goes."""
    found = scheduler(100)
    for owner in (NEIGHBOUR, VICTIM, THIRD):
        for number in range(20):
            found.add(f"{number}_K{owner}-{number}.txt", f"K{owner}-{number}", owner=owner)
    for entry in claimed(found):
        found.make_heavy(entry, 0.0)
    heavy = claimed(found)
    assert len(heavy) == HEAVY_PLACES
    assert sum(entry.owner == NEIGHBOUR for entry in heavy) <= HEAVY_OF_ONE
    found.add("1_small.txt", "small", owner=NEIGHBOUR)
    assert [entry.key for entry in claimed(found)] == ["small"]
    found.forget(heavy[0])
    assert len(claimed(found)) == 1


def test_an_owner_who_has_nothing_left_is_forgotten() -> None:
    found = scheduler()
    found.add("1_K.txt", "K", owner=NEIGHBOUR)
    assert (found.turns.owners, found.turns.pending(NEIGHBOUR)) == (1, 1)
    entry = found.claim(0.0)
    assert entry is not None
    found.forget(entry)
    assert (found.turns.owners, found.turns.pending(NEIGHBOUR)) == (0, 0)


def test_patience_is_for_all_files_of_a_key_and_owner_together() -> None:
    """25 empty files hold up a key for no longer than one does; another user has his own second."""
    found = scheduler()
    entries = [Entry(f"{n}_K.txt", "K", owner=NEIGHBOUR) for n in range(25)]
    assert found.patience.lasts(place(entries[0]), 0.0, 1.0)
    assert found.patience.lasts(place(entries[1]), 0.9, 1.0)
    assert not any(found.patience.lasts(place(entry), 1.1, 1.0) for entry in entries)
    assert found.patience.lasts(place(Entry("1_K.txt", "K", owner=VICTIM)), 1.1, 1.0)
    assert found.patience.lasts(place(Entry("1_L.txt", "L", owner=NEIGHBOUR)), 1.1, 1.0)
    assert found.patience.lasts(place(entries[0]), patience.EVERY_SECONDS, 1.0)


def test_a_file_that_steps_aside_holds_up_nobody() -> None:
    """And once it is whole it goes, behind those of its chain that are held."""
    found = scheduler()
    for number in (1, 2, 3):
        found.add(f"{number}_K.txt", "K")
    first = found.claim(0.0)
    assert first is not None
    found.postpone(first, 0.0, 5.0)
    second = found.claim(0.0)
    assert second is not None
    assert second.name == "2_K.txt"
    assert found.may_send(second, "=d")
    found.settle(second, Unreachable("reset"), 0.0, 0.0, reached=True)  # its chain is held
    third = found.claim(0.0)
    assert third is not None
    found.forget(third)
    again = found.claim(5.0)
    names = {again.name} if again is not None else set()
    assert again is not None
    if again is second:
        found.forget(again)
        again = found.claim(5.0)
    assert again is first, names
    assert found.may_send(first, "=e")
    assert first.chain == "=e"
    found.forget(first)


def test_what_something_on_the_way_dislikes_waits_alone() -> None:
    """However many such events there are: PagerDuty is reached, so nobody else waits."""
    found = scheduler()
    for number in range(20):
        found.add(f"{number}_K.txt", f"K{number % 2}", owner=NEIGHBOUR)
    now = 0.0
    for _ in range(20):
        entry = found.claim(now)
        assert entry is not None
        assert found.may_send(entry, entry.name)
        ruling = found.settle(entry, Unreachable("answered 403"), now, now, reached=True)
        assert ruling.scope == "chain"
        assert found.unreachable is None
    found.add("1_V.txt", "V", owner=VICTIM)
    assert [entry.key for entry in claimed(found, now)] == ["V"]


def test_senders_to_the_endpoint_take_turns() -> None:
    """As users do, though all their files are the agent's own. In the count of users they are
    one."""
    found = scheduler(1)
    for number in range(1000):
        found.add(f"{number}_K{number}.txt", f"K{number}", owner=-NEIGHBOUR)
    for owner in (-VICTIM, THIRD):
        found.add(f"1_V{owner}.txt", f"V{owner}", owner=owner)
    turns = found.turns
    assert (turns.owners, turns.pending(THIRD, with_senders=True)) == (2, 1002)
    assert sorted(served(found, 3)) == [-VICTIM, -NEIGHBOUR, THIRD]
    assert (turns.owners, turns.pending(THIRD, with_senders=True)) == (1, 999)
    assert turns.pending(-NEIGHBOUR) == 999

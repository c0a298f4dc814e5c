"""The daemon pages for what was not heard of in time, whatever befell it and the host meanwhile."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pytest

from pdagent.event import Event
from pdagent.queue.elapsed import Moment, present
from pdagent.queue.expectation import written
from pdagent.queue.renewal import ExpectationSpool
from tests.support.agent import Agent, beginning_with, in_time, wait_until
from tests.support.events import KEY, actions, sent
from tests.support.events_api import EventsApi
from tests.support.users import AGENT, ROOT, SENDER, STRANGER, User

LONG = 1000.0

# Runs a command in a container like those of LXC and systemd-nspawn, where it has the kernel's
# clocks and a file's boot id.
IN_A_CONTAINER = """
    mount --bind "$1" /proc/sys/kernel/random/boot_id
    shift
    exec "$@"
    """


class Expecting(ExpectationSpool):
    """As a user's `pd-send expect`, without a process for each. `wakes`: whether the daemon is
    told."""

    def __init__(self, agent: Agent, user: User = SENDER, wakes: bool = True) -> None:
        super().__init__(str(agent.spool))
        self._user = user
        self._wakes = wakes

    def _name(self, temporary: str, pending: str) -> None:
        if ROOT:
            os.chown(temporary, self._user.uid, AGENT.gid)
        super()._name(temporary, pending)

    def wake(self, name: str) -> bool:
        return self._wakes and super().wake(name)


def expect(
    agent: Agent,
    term: float = LONG,
    dedup_key: str = "backup",
    since: Moment | None = None,
    user: User = SENDER,
    wakes: bool = True,
) -> None:
    trigger = Event(KEY, "trigger", "no backup", dedup_key, source="db1").body("v2", 0)
    Expecting(agent, user, wakes).enqueue(KEY, written(trigger, term, since or present()))


def ago(seconds: float) -> Moment:
    now = present()
    return replace(now, wall=now.wall - seconds, running=now.running - seconds)


def in_another_boot(seconds: float) -> Moment:
    now = present()
    return Moment(now.wall - seconds, 50.0, 50.0, "another")


def taken(agent: Agent) -> bool:
    return not agent.names("expect")


def test_what_is_not_renewed_in_time_is_paged(api: EventsApi, agent: Agent) -> None:
    """Once; and the next renewal resolves it."""
    agent.start()
    expect(agent, 1.0)
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    [request] = api.accepted
    assert sent(request)["payload"]["summary"] == "no backup"
    expect(agent)
    wait_until(lambda: len(api.accepted) == 2)
    assert actions(api)[1] == ("resolve", "backup")
    expect(agent)
    wait_until(lambda: taken(agent))
    assert len(agent.names("expected")) == 1


def test_what_is_renewed_is_not_paged(api: EventsApi, agent: Agent) -> None:
    """Nor what is cancelled. Another one that is due shows that time went by."""
    agent.start()

    def renewed(number: int) -> None:
        expect(agent, 2.0, f"renewed {number}")
        expect(agent, 2.0, f"cancelled {number}")
        expect(agent, LONG, f"renewed {number}")
        expect(agent, 0.0, f"cancelled {number}")

    number = in_time(2.0, renewed)
    expect(agent, 2.0, "other")
    wait_until(lambda: ("trigger", "other") in actions(api))
    wait_until(lambda: taken(agent))
    paged = {dedup_key for _, dedup_key in actions(api)}
    assert not paged & {f"renewed {number}", f"cancelled {number}"}
    assert len(agent.names("expected")) == number + 2


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_comes_back_goes_on(
    api: EventsApi, agent: Agent, ends: signal.Signals
) -> None:
    """What lapsed meanwhile is paged, what was renewed meanwhile is not, and what had lapsed before
    is resolved by a renewal."""
    agent.start()
    expect(agent, 1.0, "lapsed before")
    wait_until(lambda: actions(api) == [("trigger", "lapsed before")])
    expect(agent, LONG, "renewed")
    expect(agent, LONG, "lapsed")
    wait_until(lambda: taken(agent) and len(agent.names("suc")) == 1)
    agent.end(ends)
    for path in (agent.spool / "expected").iterdir():
        path.write_bytes(path.read_bytes().replace(b'"term":1000.0', b'"term":1.0'))
    expect(agent, LONG, "renewed")
    expect(agent, LONG, "lapsed before")
    agent.start()
    wait_until(lambda: len(api.accepted) == 3)
    assert sorted(actions(api)[1:]) == [("resolve", "lapsed before"), ("trigger", "lapsed")]


def test_what_is_due_when_the_daemon_starts_is_paged(api: EventsApi, agent: Agent) -> None:
    """It was taken over before that."""
    agent.start()
    expect(agent)
    wait_until(lambda: taken(agent))
    agent.stop()
    [path] = (agent.spool / "expected").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"term":1000.0', b'"term":1.0'))
    wait_until(lambda: time.time() - path.stat().st_mtime > 1.5)
    agent.start()
    wait_until(lambda: actions(api) == [("trigger", "backup")])


def test_a_host_that_was_off_pages_when_it_is_up(api: EventsApi, agent: Agent) -> None:
    """And says why."""
    expect(agent, 3600.0, since=in_another_boot(present().running + 7200.0))
    agent.start()
    [request] = api.wait_for(lambda seen: len(seen) == 1)
    assert sent(request)["payload"]["summary"] == "no backup (this host was off)"


def test_a_clock_that_was_wrong_pages_nobody(api: EventsApi, agent: Agent) -> None:
    """A year behind when it was renewed: the seconds since the boot count."""
    now = present()
    expect(agent, 3600.0, since=replace(now, wall=now.wall - 31_536_000))
    expect(agent, 3600.0, "due", since=ago(3601.0))
    agent.start()
    wait_until(lambda: actions(api) == [("trigger", "due")])
    wait_until(lambda: taken(agent))
    assert len(agent.names("expected")) == 2


def test_a_renewal_that_waits_goes_before_what_came_after_it(api: EventsApi, agent: Agent) -> None:
    """It was accepted before the next trigger of its dedup key, so its resolve goes first, although
    nobody served the queue then."""
    agent.start()
    expect(agent, 1.0)
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    wait_until(lambda: agent.names("expected")[0].partition(".")[2].startswith("lapsed"))
    agent.stop()
    expect(agent)
    agent.send(KEY, "trigger", "-d", "it failed", "-i", "backup")
    agent.start()
    wait_until(lambda: len(api.accepted) == 3)
    assert actions(api)[1:] == [("resolve", "backup"), ("trigger", "backup")]


def test_a_wake_that_is_lost_is_made_up_for(api: EventsApi, agent: Agent) -> None:
    """The next look at the directory finds it."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    expect(agent, LONG, "first")
    wait_until(lambda: taken(agent))
    expect(agent, 1.0, "scripted", wakes=False)
    wait_until(lambda: ("trigger", "scripted") in actions(api))


def directory(agent: Agent, name: str) -> None:
    (agent.spool / "expect" / name).mkdir()


def fifo(agent: Agent, name: str) -> None:
    os.mkfifo(agent.spool / "expect" / name)


def link(agent: Agent, name: str) -> None:
    (agent.spool / "expect" / name).symlink_to("/etc/passwd")


def garbage(agent: Agent, name: str) -> None:
    (agent.spool / "expect" / name).write_bytes(b"[1, 2]")


def traversal(agent: Agent, name: str) -> None:
    trigger = json.loads(Event("x", "trigger", "x", "x").body("v2", 0))
    trigger["routing_key"] = "../../../../etc/x"
    data = written(json.dumps(trigger).encode(), 1.0, present())
    (agent.spool / "expect" / name).write_bytes(data)


@pytest.mark.parametrize("make", [directory, fifo, link, garbage, traversal])
def test_a_hostile_file_harms_nobody(
    api: EventsApi, agent: Agent, make: Callable[[Agent, str], None]
) -> None:
    """It is set aside with its reason, or left where it is a directory. Others get their pages."""
    make(agent, "0000000000000001_KEY.txt")
    agent.start()
    make(agent, "0000000000000002_KEY.txt")
    expect(agent, 1.0, user=STRANGER)
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    left = 2 if make is directory else 0
    wait_until(lambda: len(agent.names("expect")) == left)
    wait_until(lambda: len(agent.names("err")) == 2 - left)
    reasons = agent.data_dir / "db" / "reasons"
    assert left or len(list(reasons.iterdir())) == 2


def test_leased_files_delay_nobody(api: EventsApi, agent: Agent) -> None:
    """Their owner keeps them from being opened, each for 45 seconds."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # it tells that somebody wants a file
    agent.start()
    with ExitStack() as leases:
        leases.callback(signal.signal, signal.SIGIO, before)
        for number in range(5):
            path = agent.spool / "expect" / f"{number}"
            fd = os.open(path, os.O_CREAT | os.O_RDWR)
            leases.callback(os.close, fd)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        expect(agent, 1.0, user=STRANGER)
        wait_until(lambda: actions(api) == [("trigger", "backup")])
        assert len(agent.names("expect")) == 5  # they wait, as after an accident with chmod


def test_a_script_has_a_second_to_write(api: EventsApi, agent: Agent) -> None:
    """Half a file is the beginning of one, for a while."""
    agent.start()

    def write(number: int) -> None:
        trigger = Event(KEY, "trigger", "x", f"slow {number}").body("v2", 0)
        data = written(trigger, 1.0, present())
        path = agent.spool / "expect" / f"000000000000000{number}_KEY.txt"
        with path.open("wb", buffering=0) as file:
            file.write(data[:30])
            expect(agent, LONG, f"other {number}", user=STRANGER)
            wait_until(lambda: len(agent.names("expect")) <= 1)
            file.write(data[30:])

    number = in_time(1.0, write)
    wait_until(lambda: ("trigger", f"slow {number}") in actions(api))


def test_others_are_served_beside_one_who_has_very_many(api: EventsApi, agent: Agent) -> None:
    """The bound is each user's own."""
    trigger = Event(KEY, "trigger", "x", "theirs").body("v2", 0)
    for number in range(3000):
        path = agent.spool / "expect" / f"{number:016}_K.txt"
        path.write_bytes(written(trigger, LONG, present()))
        if ROOT:
            os.chown(path, STRANGER.uid, AGENT.gid)
    expect(agent, 1.0)
    agent.start()
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    wait_until(lambda: taken(agent))
    assert len(agent.names("expected")) == 2


@pytest.mark.needs_root
def test_a_resolve_that_waits_for_the_queue_stops_no_page(api: EventsApi, agent: Agent) -> None:
    """Of the same user's: root may still write on a disk that is full for the agent's user."""
    agent.start()
    expect(agent, 1.0)
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    os.chown(agent.spool / "pdq", 0, 0)
    (agent.spool / "pdq").chmod(0o700)
    expect(agent)
    expect(agent, 1.0, "db")
    wait_until(lambda: ("trigger", "db") in actions(api))  # delivered directly
    assert len(agent.names("expect")) == 1
    assert ("resolve", "backup") not in actions(api)


def test_a_directory_that_is_missing_stops_nothing_else(api: EventsApi, agent: Agent) -> None:
    """Events are delivered. The daemon makes the directory where it may."""
    (agent.spool / "expect").rmdir()
    (agent.spool / "expected").rmdir()
    (agent.spool / "expect").write_text("in the way")
    agent.start()
    agent.send(KEY, "trigger", "-d", "x", "-i", "x")
    wait_until(lambda: actions(api) == [("trigger", "x")])
    wait_until(lambda: "cannot look into" in agent.log)
    (agent.spool / "expect").unlink()
    agent.stop()
    agent.start()
    expect(agent, 1.0)
    wait_until(lambda: len(api.accepted) == 2)


@pytest.mark.needs_root
def test_a_container_with_a_boot_id_of_its_own_pages_nobody(api: EventsApi, agent: Agent) -> None:
    """Each of its starts has another one, of a kernel that has run for as long as the host."""
    boot = agent.root / "boot"
    contained = ("unshare", "--mount", "sh", "-ec", IN_A_CONTAINER, "sh", str(boot))
    boot.write_text("00000000-0000-4000-8000-000000000001\n")
    agent.start()
    arguments = ("expect", "-k", KEY, "-i", "backup", "--within", "30s")
    assert agent.run("pd-send", *arguments, under=contained).returncode == 0
    agent.stop()
    agent.start()
    agent.send(KEY, "trigger", "-i", "last", "-d", "last")
    api.wait_accepted(1)
    assert [request.dedup_key for request in api.accepted] == ["last"]


def _denials(agent: Agent, code: str) -> None:
    code = f"import pdagent.daemon.denials as denials; {code}"
    agent.command = beginning_with(code, "pdagentd")


@pytest.mark.needs_root
def test_what_an_accident_made_unreadable_waits(api: EventsApi, agent: Agent) -> None:
    """The check's remedy gives it to the daemon: the page comes. No other lapse waits for it."""
    _denials(agent, "denials.SECONDS = 1.0")
    agent.start()
    expect(agent, 2.0, "db")
    wait_until(lambda: taken(agent))
    (agent.spool / "tmp").chmod(0o1733)
    arguments = ("expect", "-k", KEY, "-i", "backup", "--within", "1s")
    assert agent.run("pd-send", *arguments, user=SENDER).returncode == 0
    wait_until(lambda: actions(api) == [("trigger", "db")])
    assert len(agent.names("expect")) == 1
    agent.run("pdagent", "check", "--repair")
    wait_until(lambda: ("trigger", "backup") in actions(api))
    assert agent.log.count("files in expect can't be read: Permission denied") == 1


@pytest.mark.needs_root
def test_what_an_accident_made_unreadable_later_is_still_expected(
    api: EventsApi, agent: Agent
) -> None:
    """Although it is due, or the daemon starts. The check says so, and its remedy has it paged."""
    _denials(agent, "denials.SECONDS = 1.0")
    agent.start()
    expect(agent, 2.0)
    expect(agent, LONG, "db")
    wait_until(lambda: taken(agent))
    for name in agent.names("expected"):
        (agent.spool / "expected" / name).chmod(0o600)
    wait_until(lambda: "files in expected can't be read: Permission denied" in agent.log)
    agent.stop()
    agent.start()
    wait_until(lambda: agent.log.count("files in expected can't be read: Permission denied") == 2)
    said = agent.run("pdagent", "check").stdout
    assert b"pdagentd may not read 2 of them" in said
    assert b"> sudo pdagent check --repair" in said
    agent.run("pdagent", "check", "--repair")
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    assert len(agent.names("expected")) == 2


@pytest.mark.needs_root
def test_what_is_one_too_many_to_wait_is_expected_again_by_a_retry(
    api: EventsApi, agent: Agent
) -> None:
    """It is set aside, and a retry gives it back after the check's remedy: the page comes."""
    _denials(agent, "denials.MOST = 0")
    agent.start()
    for directory in ("tmp", "expect"):
        (agent.spool / directory).chmod(0o1733)
    arguments = ("expect", "-k", KEY, "-i", "backup", "--within", "1s")
    assert agent.run("pd-send", *arguments, user=SENDER).returncode == 0
    wait_until(lambda: len(agent.names("err")) == 1)
    agent.run("pdagent", "check", "--repair")
    agent.run("pd-queue", "retry", "--all-keys", check=True)
    wait_until(lambda: actions(api) == [("trigger", "backup")])
    assert agent.names("err") == []
    assert list((agent.data_dir / "db" / "reasons").iterdir()) == []

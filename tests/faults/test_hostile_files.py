"""Anyone may put anything into pdq/: it is set aside with its reason, and everything else flows."""

import fcntl
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pdagent.daemon.reading import DENIED_MOST
from tests.faults.conftest import Mount
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, enqueue, key, summaries
from tests.support.events_api import Answer, EventsApi
from tests.support.users import ROOT, STRANGER


def good(key: str) -> bytes:
    return f'{{"service_key": "{key}", "event_type": "trigger", "description": "x"}}'.encode()


def named_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # its address has room for 108 bytes only
        directory = os.open(path.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)


def sized(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(b'{"service_key": "')
            file.truncate(size)

    return make


def holding(data: bytes) -> Callable[[Path], None]:
    return lambda path: void(path.write_bytes(data))


def void(_: object) -> None:
    pass


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (holding(b""), "it is empty"),
    "not JSON": (holding(b"hello"), "it is not JSON"),
    "cut off": (holding(b'{"service_key": "x", "desc'), "it is not JSON"),
    "not UTF-8": (holding(b'{"service_key": "\xff"}'), "it is not UTF-8"),
    "not an object": (holding(b'["service_key"]'), "it is not a JSON object"),
    "no key": (holding(b'{"event_type": "trigger"}'), "neither a routing_key nor a service_key"),
    "nested": (holding(b'{"a":' * 200_000), "it is not JSON"),
    "a long number": (holding(b'{"routing_key": ' + b"9" * 5000 + b"}"), "it is not JSON"),
    "5 MB": (sized(5_000_000), "it is larger than 4194304 bytes"),
    "symlink": (lambda path: path.symlink_to("/etc/hostname"), "it is a symbolic link"),
    "dangling symlink": (lambda path: path.symlink_to("/nonexistent"), "it is a symbolic link"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "it is a symbolic link"),
    "FIFO": (lambda path: os.mkfifo(path), "it is not a regular file"),
    "socket": (named_socket, "it is not a regular file"),
    "a sparse terabyte": (sized(1 << 40), "it is larger than 4194304 bytes"),
}


def test_hostile_files(api: EventsApi, agent: Agent) -> None:
    """Each kind of file that is no event is set aside with its reason, and said; the events among
    them are delivered."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    made = {}
    for number, (kind, (make, why)) in enumerate(HOSTILE.items()):
        path = agent.spool / "pdq" / f"{number:016}_{KEY}.txt"
        make(path)
        if ROOT:
            os.chown(path, STRANGER.uid, STRANGER.gid, follow_symlinks=False)
        made[path.name] = (kind, why)
    enqueue(agent, KEY, "a", "behind all of them")
    agent.start()
    assert summaries(api.wait_accepted(1)) == ["behind all of them"]
    wait_until(lambda: agent.names("pdq") == [])
    assert agent.names("err") == sorted(made)
    for name, (kind, why) in made.items():
        reason = json.loads((agent.data_dir / "db" / "reasons" / name).read_text())
        assert why in reason["reason"], kind
        assert reason["status"] is None
        assert f"in error: {name.partition('_')[0]}_*{KEY[-4:]}: {reason['reason']}" in agent.log
    assert len(api.requests) == 1


@pytest.mark.needs_root
def test_files_that_the_agent_may_not_read(api: EventsApi, agent: Agent) -> None:
    """A stranger's of somebody else's key: they delay nobody, and wait until somebody repairs them.
    What is beyond the bound is set aside."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    payload = {"summary": "repaired", "source": "x", "severity": "info"}
    body = json.dumps({"routing_key": KEY, "event_action": "trigger", "payload": payload})
    for number in range(DENIED_MOST + 3):
        path = agent.drop(f"{number:016}_{KEY}.txt", body.encode(), STRANGER)
        path.chmod(0o600)
    enqueue(agent, KEY, "a", "behind all of them")
    agent.start()
    assert summaries(api.wait_accepted(1)) == ["behind all of them"]
    wait_until(lambda: len(agent.names("err")) == 3)
    wait_until(lambda: len(agent.names("pdq")) == DENIED_MOST)
    for name in agent.names("pdq")[1:]:
        (agent.spool / "pdq" / name).unlink()
    assert b"the agent may not read it" in agent.run("pd-queue", "list", check=True).stdout
    agent.run("pdagent", "check", "--repair")
    assert summaries(api.wait_accepted(2))[1] == "repaired"
    assert len(agent.names("err")) == 3


def test_bad_names(api: EventsApi, agent: Agent) -> None:
    """Names that are no event's are set aside too, however odd, and found again in err/."""
    names = ["nonsense", f"abc_{KEY}.txt", "123.txt", ".hidden", f"1_{KEY}.TXT", f"-1_{KEY}.txt"]
    names += ["\udcff\udcfe", "new\nline", "x" * 255, f"{'1' * 21}_{KEY}.txt", "ы" * 100]
    agent.configure(events_url=api.url, send_interval_secs=1)
    for name in names:
        agent.drop(name, b'{"service_key": "x"}')
    enqueue(agent, KEY, "a", "good")
    agent.start()
    assert summaries(api.wait_accepted(1)) == ["good"]
    wait_until(lambda: agent.names("pdq") == [])
    assert agent.names("err") == sorted(names)
    assert len(api.requests) == 1


def test_a_name_that_is_in_error_already(api: EventsApi, agent: Agent) -> None:
    """A second file of the same name does not replace the first."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.start()
    for text in (b"first", b"second"):
        for name in ("no event's name", f"1_{KEY}.txt"):
            agent.drop(name, text)
        wait_until(lambda: agent.names("pdq") == [])
    texts = [(agent.spool / "err" / name).read_bytes() for name in agent.names("err")]
    assert sorted(texts) == [b"first", b"first", b"second", b"second"]


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_a_directory_is_left(api: EventsApi, agent: Agent, mode: int) -> None:
    """Another user's directory is never moved, not even if it could be: in err/ its owner would go
    on writing into it. It is said once, sent never, and everything else flows."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    names = [f"1_{KEY}.txt", "nonsense"]
    for name in names:
        path = agent.spool / "pdq" / name
        path.mkdir()
        path.chmod(mode)
        (path / "file").touch()
        os.chown(path, STRANGER.uid, STRANGER.gid)
    enqueue(agent, KEY, "a", "first")
    agent.start()
    api.wait_accepted(1)
    for number in range(3):  # looks at the directory
        agent.drop(f"{number + 2}_{key(number)}.txt", good(key(number)))
        api.wait_for(number + 2)
    wait_until(lambda: len(agent.names("suc")) == 4)
    assert agent.names("pdq") == sorted(names)
    assert agent.names("err") == []
    assert agent.log.count("is a directory, and no event: it is left") == 2
    for name in names:
        (agent.spool / "pdq" / name / "file").unlink()
        (agent.spool / "pdq" / name).rmdir()
    agent.send(KEY, "trigger", "-d", "last")
    wait_until(lambda: agent.names("pdq") == [])


def test_a_name_that_is_not_its_bodys(api: EventsApi, agent: Agent) -> None:
    """Whoever names a file after another's key neither takes his turn nor has him throttled."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    agent.conf.write_text(agent.conf.read_text() + f"[Keys]\ndb = {OTHER}\n")
    agent.start()
    api.always(KEY, Answer(429, retry_after=300))
    name = "0000000000000001_@db.txt"
    agent.drop(name, good(KEY), STRANGER)
    agent.send("@db", "trigger", "-d", "flows", "-i", "flows")
    api.wait_accepted(1)
    wait_until(lambda: agent.names("err") == [name])
    assert [request.key for request in api.requests] == [OTHER]
    assert "its name and its body have different integration keys" in agent.log


@pytest.mark.needs_root
def test_a_hard_link_elsewhere(api: EventsApi, agent: Agent) -> None:
    """A sender who keeps a second name of the file delays that event alone, for a while."""
    agent.configure(events_url=api.url, send_interval_secs=1)
    path = agent.drop(f"1_{KEY}.txt", good(KEY), STRANGER)
    os.link(path, agent.root / "kept")
    agent.send(KEY, "trigger", "-d", "other", "-i", "other")
    agent.start()
    assert api.wait_for(1)[0].dedup_key == "other"
    api.wait_for(2)
    wait_until(lambda: agent.names("pdq") == [])


def test_nonsense_in_the_fifo(api: EventsApi, agent: Agent) -> None:
    """Whatever anyone writes to the wake FIFO, the daemon goes on."""
    agent.start()
    wake = os.open(agent.data_dir / "db/wake", os.O_WRONLY | os.O_NONBLOCK)
    lines = [
        b"",
        b"../../../etc/passwd",
        b"\xff" * 3000,
        b"1_../x.txt",
        b"1_\0.txt",
        b"9_nobody.txt",
    ]
    os.write(wake, b"\n".join(lines) + b"\nno end")
    agent.send(KEY, "trigger", "-d", "x", "-i", "first")
    agent.send(KEY, "trigger", "-d", "x", "-i", "second")
    api.wait_for(lambda seen: "second" in {request.dedup_key for request in seen})
    os.close(wake)
    assert agent.stop() == 0
    assert "Traceback" not in agent.log + agent.output.read_text()


@pytest.mark.parametrize("flags", [0, os.O_DIRECT], ids=["bytes", "packets"])
def test_a_full_fifo(api: EventsApi, agent: Agent, flags: int) -> None:
    """A FIFO that somebody has filled up loses no event: the directory is looked at. Packets, each
    of which takes a page, fill it with a few bytes."""
    agent.configure(events_url=api.url, send_interval_secs=3600)
    agent.start()
    assert agent.daemon is not None
    agent.daemon.send_signal(19)  # SIGSTOP: nobody reads
    wake = os.open(agent.data_dir / "db/wake", os.O_WRONLY | os.O_NONBLOCK)
    fcntl.fcntl(wake, fcntl.F_SETFL, os.O_NONBLOCK | flags)
    try:
        while True:
            os.write(wake, b"9_nobody.txt\n")
    except BlockingIOError:
        pass
    agent.send(KEY, "trigger", "-d", "found all the same")
    agent.daemon.send_signal(18)  # SIGCONT
    api.wait_accepted(1)
    os.close(wake)


def test_a_hundred_thousand(api: EventsApi, agent: Agent, mount: Mount) -> None:
    """With 100,000 pending events of a key that is throttled, others flow at once, and the daemon
    stops at once."""
    if ROOT:  # many file systems take minutes to remove so many files
        mount("-t", "tmpfs", "-o", "size=1g,mode=755", "tmpfs", agent.spool)
        agent.create_spool()
    # The others are no events: none is to be read beside the one that is throttled.
    agent.configure(events_url=api.url, max_per_key=1)
    api.always(KEY, Answer(429, retry_after=300))
    enqueue(agent, KEY, "a", "throttled")
    pending = os.open(agent.spool / "pdq", os.O_RDONLY)
    for number in range(99_999):  # nothing opens them as long as the first one waits
        os.close(os.open(f"9{number:015}_{KEY}.txt", os.O_CREAT | os.O_WRONLY, dir_fd=pending))
    os.close(pending)
    agent.start()
    assert "Ready: 100000 events pending" in agent.log
    agent.send(key(1), "trigger", "-d", "flows")
    assert summaries(api.wait_accepted(1)) == ["flows"]
    assert agent.stop() == 0
    assert len([request for request in api.requests if request.key == KEY]) == 1
    status = agent.run("pd-queue", "status", "-k", KEY, check=True).stdout.decode()
    assert status.splitlines()[2].split() == [KEY, "100000", "0", "0"]

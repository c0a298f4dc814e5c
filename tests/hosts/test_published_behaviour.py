"""What the old agent's own integration tests ask of a host, asked of this one, in our words."""

import json

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi

pytestmark = [pytest.mark.only("systemd"), pytest.mark.latest]

OTHER = "0123456789abcdef0123456789abcdef"
QUEUE = "/var/lib/pdagent/outqueue"
# how those tests look for the daemon
PROCESS = "ps -eo args | grep -c '^/usr/share/pdagent/bin/pdagentd' || :"


@pytest.fixture
def stopped(host: Host) -> Host:
    """The daemon does not run, and pd-send writes what the old one wrote."""
    host.configure(events_api="v1")
    host.service.stop()
    return host


def send(host: Host, *events: str, key: str = KEY) -> None:
    for event in events:
        host.sh(f"pd-send -k {key} -t trigger -d {event} -i {event}", user="alice")


def rows(host: Host, *arguments: str) -> list[list[str]]:
    """What stands below the table's head. Nothing else may stand there."""
    said = host.sh(" ".join(["pd-queue status", *arguments])).splitlines()
    assert said[0].split() == ["Service", "Key", "Pending", "Success", "In", "Error"]
    assert set(said[1]) == {"="}
    return [line.split() for line in said[2:]]


def test_service_commands(host: Host) -> None:
    """Start and stop can be said twice; a start does not disturb a daemon that runs; a restart
    makes a new one."""
    pid = host.service.pid
    host.service.start()
    assert host.service.pid == pid
    assert host.sh(PROCESS) == "1"
    host.service.restart()
    assert host.service.pid not in (0, pid)
    assert host.sh(PROCESS) == "1"
    for _ in range(2):
        host.service.stop()
        assert not host.service.is_running
        assert host.sh(PROCESS) == "0"
    host.service.start()
    assert host.service.is_running
    assert host.sh(PROCESS) == "1"


def test_one_event_is_one_file(stopped: Host) -> None:
    """A file in pdq/, named after moment and key, and none anywhere else. It was for all to read,
    and is for the agent's group now."""
    send(stopped, "single")
    found = stopped.sh(f"find {QUEUE} -name '*.txt'").splitlines()
    assert len(found) == 1
    assert found[0].startswith(f"{QUEUE}/pdq/")
    assert found[0].endswith(f"_{KEY}.txt")
    assert stopped.sh(f"stat -c '%a %U %G' {found[0]}") == "640 alice pdagent"


def test_bytes_of_an_event(stopped: Host) -> None:
    """Keys in order, no blanks, everything but ASCII escaped, the agent's id and the time in it."""
    stopped.sh(
        f"""pd-send -k {KEY} -t trigger -d 'Füße, 火' -i 'ключ 1' \\
            -c Mon -u http://m/1 -f b=2 -f a=ä=1""",
        user="alice",
    )
    [name] = stopped.queue()
    body = stopped.sh(f"cat {QUEUE}/pdq/{name}")
    agent = json.loads(body)["agent"]
    assert agent["agent_id"] == stopped.sh("cat /var/lib/pdagent/db/agent_id.txt")
    assert agent["queued_by"] == "pd-send"
    wanted = {
        "agent": agent,
        "client": "Mon",
        "client_url": "http://m/1",
        "description": "Füße, 火",
        "details": {"a": "ä=1", "b": "2"},
        "event_type": "trigger",
        "incident_key": "ключ 1",
        "service_key": KEY,
    }
    assert body == json.dumps(wanted, sort_keys=True, separators=(",", ":"))


def test_three_events_are_delivered(stopped: Host, api: EventsApi) -> None:
    """After a start all are in suc/, in their order."""
    send(stopped, "first", "second", "third")
    names = stopped.queue()
    assert len(names) == 3
    stopped.service.start()
    stopped.until(f"[ $(ls {QUEUE}/suc | wc -l) = 3 ]")
    assert stopped.queue("suc") == names
    assert stopped.queue() == stopped.queue("err") == []
    assert {request.dedup_key for request in api.accepted} == {"first", "second", "third"}
    assert {request.path for request in api.accepted} == {"/generic/2010-04-15/create_event.json"}


def test_a_bad_file_goes_alone(stopped: Host, api: EventsApi) -> None:
    """A file that somebody overwrote ends in err/, those beside it in suc/."""
    send(stopped, "first", "second", "third")
    first, bad, third = stopped.queue()
    stopped.sh(f"echo 'bad json' >{QUEUE}/pdq/{bad}")
    stopped.service.start()
    stopped.until(f'[ -z "$(ls {QUEUE}/pdq)" ]')
    assert stopped.queue("err") == [bad]
    assert stopped.queue("suc") == [first, third]
    api.wait_accepted(2)


def test_table_and_retry(stopped: Host) -> None:
    """The table is the rows alone, of all keys or of one. A retry's first word is the number of
    events, of one key or of all, which are pending then."""
    send(stopped, "a", "b", "c")
    send(stopped, "d", "e", key=OTHER)
    stopped.sh(f"""
        cd {QUEUE}
        mv $(ls -d pdq/*_{KEY}.txt | head -n 1) suc/
        mv $(ls -d pdq/*_{KEY}.txt | head -n 1) err/
        mv $(ls -d pdq/*_{OTHER}.txt | head -n 1) err/""")
    assert rows(stopped) == [[OTHER, "1", "0", "1"], [KEY, "1", "1", "1"]]
    assert rows(stopped, "-k", KEY) == [[KEY, "1", "1", "1"]]
    assert stopped.sh(f"pd-queue retry -k {KEY}").split()[0] == "1"
    assert rows(stopped) == [[OTHER, "1", "0", "1"], [KEY, "2", "1", "0"]]
    assert stopped.sh("pd-queue retry -a").split()[0] == "1"
    assert rows(stopped) == [[OTHER, "2", "0", "0"], [KEY, "2", "1", "0"]]
    assert stopped.sh("pd-queue retry -a").split()[0] == "0"


def test_uninstalled(host: Host) -> None:
    """No command, no daemon, no Python module, and, where the package manager knows how to purge,
    no configuration."""
    host.sh(
        "apt-get purge -q=2 -y pdagent" if host.spec.family == "deb" else "yum remove -y -q pdagent"
    )
    assert host.run("command -v pd-send || command -v pd-queue").rc != 0
    assert host.sh(PROCESS) == "0"
    assert host.run("python3 -c 'import pdagent'").rc != 0
    # the tests have edited it
    left = [] if host.spec.family == "deb" else ["/etc/pdagent.conf.rpmsave"]
    assert host.sh("ls -d /etc/pdagent.conf* 2>/dev/null || :").split() == left

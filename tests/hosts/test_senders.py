"""The ways in, for a user who may read neither the configuration nor the keys."""

import json

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi

# PagerDuty's own path, on this host
CURL = "curl -fsS -H 'Content-Type: application/json'"


def body(dedup_key: str) -> str:
    payload = {"summary": "Disk is full", "source": "db1", "severity": "error"}
    event = {"routing_key": "@db", "event_action": "trigger", "dedup_key": dedup_key}
    return json.dumps({**event, "payload": payload})


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_senders(host: Host, api: EventsApi) -> None:
    """By a key's name: pd-send, whole bodies, change events, the local endpoint in its sandbox."""
    host.sh(f"""
        install -m 0640 -o root -g pdagent /dev/null /etc/pdagent.keys
        printf '[Keys]\\ndb = {KEY}\\n' >/etc/pdagent.keys
        chgrp pdagent /etc/pdagent.conf
        chmod 0640 /etc/pdagent.conf""")
    host.configure(keys_file="/etc/pdagent.keys", listen="127.0.0.1:49463")
    host.service.restart()
    done = host.run(
        f"""
        for file in /etc/pdagent.conf /etc/pdagent.keys; do [ ! -r $file ] || exit; done
        set -e
        pd-send -k @db -t trigger -d 'Disk is full' -i name --wait=30
        pd-send change -k @db -d 'Deployed api 1.4.2' --wait=30
        echo '{body("json")}' | pd-send --json - --wait=30
        {CURL} http://127.0.0.1:49463/v2/enqueue -d '{body("tcp")}'
        """,
        user="alice",
    )
    assert (done.rc, done.stderr) == (0, "")
    assert [request.path.split("/")[2] for request in api.accepted[:3]] == [
        "enqueue",
        "change",
        "enqueue",
    ]

    host.configure(listen="/run/pdagent/events.sock")
    host.service.restart()
    socket = "--unix-socket /run/pdagent/events.sock http://localhost"
    answer = host.sh(f"{CURL} {socket}/v2/enqueue -d '{body('unix')}'", "alice")
    assert json.loads(answer)["dedup_key"] == "unix"

    accepted = api.wait_accepted(5)
    assert [each.dedup_key for each in accepted] == ["name", None, "json", "tcp", "unix"]
    assert {each.key for each in accepted} == {KEY}
    assert host.run(f"{CURL} http://127.0.0.1:49463/v2/enqueue").rc == 7, "still listening there"


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_a_hardened_unit(host: Host, api: EventsApi) -> None:
    """It can't write to the queue; what is said names the line that the unit needs, which helps."""
    host.configure(direct_delivery="off")
    for number, hardening in enumerate(["ProtectSystem=strict", "DynamicUser=yes"], 1):
        run = f"systemd-run --wait --pipe --quiet -p {hardening}"
        send = f"pd-send -k {KEY} -t trigger -d x -i {hardening}"
        done = host.run(f"{run} {send}")
        assert done.rc == 75, hardening
        [mend] = [word for word in done.stderr.split() if word.startswith("ReadWritePaths=")]
        mend = mend.rstrip(".")
        assert mend == "ReadWritePaths=/var/lib/pdagent/outqueue"
        host.sh(f"{run} -p {mend} {send}")
        assert api.wait_accepted(number)[-1].dedup_key == hardening

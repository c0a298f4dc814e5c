"""pd-queue where PagerDuty refuses events, then is away: who may, what is told, what is done."""

import json
import re

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import Answer, EventsApi

SEND = f"pd-send -k {KEY} -t trigger -d Fire"
# forms of the same, for those who may and those who may not
LOOKS = ["status", "list --json", 'show --json "$event"']
# a look that does not end by itself: until it has said something
WATCH = """
    seen=$(mktemp)
    pd-queue watch --json >"$seen" 2>&1 &
    for _ in $(seq 600); do
        [ ! -s "$seen" ] || break
        sleep 0.1
    done
    kill $!
    wait $! || [ $? = 143 ]
    cat "$seen"
"""
CHANGES = ["retry -a", "purge -a --yes"]


def queued(host: Host, *dedup_keys: str, seconds: int) -> list[int]:
    """Sent by alice, and waited for: the exit codes."""
    lines = [f"{SEND} -q -i {key} --wait={seconds} 2>/dev/null; echo $?" for key in dedup_keys]
    return [int(code) for code in host.run("\n".join(lines), "alice").stdout.split()]


def looks(host: Host, user: str, event: str) -> list[str]:
    """What the commands that change nothing have to say, on stdout and stderr."""
    script = [f"event='{event}'"]
    script += [f"pd-queue {look} 2>&1; printf '\\f'" for look in LOOKS]
    return host.sh("\n".join([*script, WATCH]), user).split("\f")


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_queue(host: Host, api: EventsApi) -> None:
    """root and pdagent see what is held and in error, retry it and remove it. Nobody else does."""
    api.script(KEY, Answer(400), Answer(400))
    assert queued(host, "refused.1", "refused.2", seconds=120) == [76, 76]
    api.stop()
    assert queued(host, "held.1", "held.2", "held.3", seconds=0) == [79, 79, 79]
    host.until("pd-queue status 2>&1 | grep -q '^  destination: '")
    event = json.loads(host.sh("pd-queue list --json -i refused.1"))["events"][0]["event"]

    for user in ("root", "pdagent"):
        status, listed, shown, watched = looks(host, user, event)
        assert re.search(rf"^{KEY} +3 +0 +2$", status, re.MULTILINE)
        assert re.search(r"^  destination: .*refused.*, next try ", status, re.MULTILINE)
        events = [(each["dedup_key"], each["state"]) for each in json.loads(listed)["events"]]
        in_error = [("refused.1", "in_error"), ("refused.2", "in_error")]
        assert events == in_error + [(f"held.{n}", "pending") for n in (1, 2, 3)]
        assert json.loads(shown)["event"]["status"] == 400
        assert json.loads(watched.splitlines()[0])["holds"][0]["scope"] == "destination"

    attempts = [
        f"timeout 60 pd-queue {command} >&2; echo $?"
        for command in [*LOOKS, "watch --json", *CHANGES]
    ]
    refused = host.run("\n".join([f"event='{event}'", *attempts]), user="mallory")
    assert refused.stdout.split() == ["77"] * len(attempts)
    assert refused.stderr.count("Use: sudo pd-queue ") == len(attempts)

    host.sh("pd-queue retry -i refused.1 && pd-queue purge -i held.1 --yes", "root")
    host.sh("pd-queue retry -i refused.2 && pd-queue purge -i held.2 --yes", "pdagent")
    api.start()
    host.service.restart()  # no need to wait for the end of the hold
    api.wait_accepted(3)
    host.until("pd-queue list | grep -qx 'Nothing to report.'")
    delivered = {request.dedup_key for request in api.accepted}
    assert delivered == {"refused.1", "refused.2", "held.3"}
    assert re.search(rf"^{KEY} +0 +3 +0$", host.sh("pd-queue status"), re.MULTILINE)

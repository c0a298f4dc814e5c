"""Another user who means harm, while events are sent and delivered: it costs nobody else an event,
its order or its secrecy."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.agent import Agent, wait_until
from tests.support.events import KEY, OTHER, enqueue
from tests.support.events_api import Answer, EventsApi
from tests.support.events_api.schema import summary
from tests.support.trial import Trial
from tests.support.users import STRANGER

pytestmark = pytest.mark.needs_root

# What one user tries again and again; $1 is the spool, $2 a directory of the stranger's own. The
# stranger knows the key, and guesses names by the clock.
ATTACKS = {
    "names that are about to be used": f"""
        now=$(date +%s%6N)
        for ahead in 100 1000 10000; do
            ln -s /etc/passwd "$1/tmp/$((now + ahead))_{KEY}.txt"
            ln -s /nowhere "$1/pdq/$((now + ahead))_{KEY}.txt"
            mkdir "$1/pdq/$((now + ahead + 1))_{KEY}.txt"
        done""",
    "all kinds of entries": f"""
        now=$(date +%s%6N)
        mkfifo "$1/pdq/${{now}}1_{KEY}.txt" "$1/tmp/$now"
        : >"$1/pdq/${{now}}2_{KEY}.txt"; chmod 0 "$1/pdq/${{now}}2_{KEY}.txt"
        truncate -s 1T "$1/pdq/${{now}}3_{KEY}.txt"
        echo "{{" >"$1/pdq/$now $now"
        echo x >"$2/x"; ln "$2/x" "$1/pdq/${{now}}4_{KEY}.txt"
        """,
    "a flood of wake-ups": f"""
        yes 0000000000000001_{KEY}.txt | head -c 200000 >"$1/../db/wake"
        head -c 200000 /dev/urandom >"$1/../db/wake"
        printf no-end >"$1/../db/wake"
        """,
    "what it may not do": """
        for directory in pdq tmp suc err; do
            ls "$1/$directory"; rm -rf "$1/$directory"; chmod 777 "$1/$directory"
            mv "$1/$directory" "$1/mine"
        done
        db=$1/../db
        cat "$db/wake" & cat "$db/"*; rm -f "$db/wake" "$db/daemon.lock"
        ln -s /etc/passwd "$1/suc/x"; echo x >"$db/daemon.lock"; wait""",
}


@contextmanager
def attacked(agent: Agent, attack: str) -> Iterator[None]:
    """A stranger does this over and over."""
    own = agent.root / "strangers"
    own.mkdir(exist_ok=True)
    os.chown(own, STRANGER.uid, STRANGER.gid)
    stranger = subprocess.Popen(
        ["sh", "-c", f"while :; do {attack}\ndone", "sh", agent.spool, own],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **STRANGER.popen(),
    )
    try:
        yield
        assert stranger.poll() is None, "the attack ended by itself"
    finally:
        os.killpg(stranger.pid, 9)
        stranger.wait()


@pytest.mark.fault("another user's attacks")
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks(trial: Trial, api: EventsApi, attack: str) -> None:
    """Under attack events are accepted, delivered and refused as ever; when it is over nothing of
    the stranger's was sent, and nothing of anybody's is gone."""
    agent = trial.agent
    before = Path("/etc/passwd").read_bytes()
    agent.start()
    with attacked(agent, ATTACKS[attack]):
        for number in trial.injections(range(4), range(60)):
            api.script(OTHER, Answer(400))
            with ThreadPoolExecutor() as senders:
                sent = [
                    senders.submit(trial.send, f"{number}", action, key=key)
                    for key, action in ((KEY, "trigger"), (KEY, "resolve"), (OTHER, "trigger"))
                ]
            assert [task.result().returncode for task in sent] == [0, 0, 0]
    trial.recovers()
    assert all(summary(r.event or {}).endswith(agent.root.name) for r in api.requests)
    assert Path("/etc/passwd").read_bytes() == before
    assert "Traceback" not in agent.log + agent.output.read_text()


def test_a_key_of_ones_own_is_no_way_in(api: EventsApi, agent: Agent) -> None:
    """A stranger who may send with a key changes nothing of another sender's, pending or settled:
    files of the same name never replace each other."""
    api.stop()
    name = enqueue(agent, KEY, "a", "mine")
    mine = (agent.spool / "pdq" / name).read_bytes()
    script = f'echo "{{}}" >"$1/other" && ln "$1/other" "$2/{name}"; mv "$1/other" "$2/{name}"'
    own = agent.root / "strangers"
    own.mkdir()
    os.chown(own, STRANGER.uid, STRANGER.gid)
    subprocess.run(["sh", "-c", script, "sh", own, agent.spool / "pdq"], **STRANGER.popen())
    assert (agent.spool / "pdq" / name).read_bytes() == mine
    agent.start()
    api.start()
    api.wait_accepted(1)
    wait_until(lambda: agent.names("suc") == [name])
    assert (agent.spool / "suc" / name).read_bytes() == mine

"""`pd-send run` killed at every system call: a failure that was told to the caller is a page that
is kept, and no incident stays open after the next success."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.events import KEY
from tests.support.faults import OPEN, WRITING, points, tracing
from tests.support.trial import Trial
from tests.support.users import SENDER

CALLS = f"{WRITING},{OPEN},exit_group"


class Job:
    """One job, that fails or does not."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.number = 0

    def run(self, command: str, under: list[str] | None = None) -> int:
        """Acknowledged is what was passed on to the caller: the exit code of the command."""
        event = self.trial.begin(KEY, "job")
        result = self.trial.agent.run(
            "pd-send",
            *("run", "-k", KEY, "-i", "job", "-d", event.text, "--", command),
            user=SENDER,
            under=under or [],
        )
        if command == "false" and result.returncode == 1:
            self.trial.acknowledge(event)
        return result.returncode

    def actions(self) -> list[str]:
        """What is in the queue, in order."""
        place = self.trial.agent.spool / "pdq"
        names = self.trial.agent.names("pdq")
        return [json.loads((place / name).read_bytes())["event_action"] for name in names]


def of_the_parent(trace: Path) -> list[str]:
    """The calls of pd-send itself, not of the command: strace counts by process."""
    lines = trace.read_text(errors="replace").splitlines()
    first = lines[0].split()[0]
    own = trace.with_name("own")
    own.write_text("\n".join(line for line in lines if line.split()[0] == first))
    return points(own)[1:]  # the first is the one that starts it


@pytest.mark.fault("pd-send run killed at each call")
def test_a_failure(trial: Trial, trace: Path) -> None:
    """It dies at one call after the other while it tells of a failure. Whatever it had done by
    then, the next success leaves no incident open."""
    job = Job(trial)
    assert job.run("false", tracing(CALLS, log=trace)) == 1
    job.run("true")
    assert job.actions() == ["trigger", "resolve"]
    for point in trial.some(of_the_parent(trace), 16):
        code = job.run("false", tracing(f"{point}:signal=KILL"))
        trial.injected()
        assert code == -signal.SIGKILL, point
        opened = "trigger" in job.actions()[-1:]
        assert job.run("true") == 0
        if opened:
            assert job.actions()[-1] == "resolve", point
        assert os.listdir(trial.agent.spool / "jobs") == [], point
    trial.recovers()


@pytest.mark.fault("pd-send run killed at each call")
def test_a_success(trial: Trial, trace: Path) -> None:
    """It dies at one call after the other while it tells of a success: the resolve is there, or the
    next success sends it."""
    job = Job(trial)
    assert job.run("false") == 1
    assert job.run("true", tracing(CALLS, log=trace)) == 0
    for point in trial.some(of_the_parent(trace), 16):
        assert job.run("false") == 1
        assert job.run("true", tracing(f"{point}:signal=KILL")) == -signal.SIGKILL, point
        trial.injected()
        assert job.run("true") == 0
        assert job.actions()[-1] == "resolve", point
        assert os.listdir(trial.agent.spool / "jobs") == [], point
    trial.recovers()


@pytest.mark.fault("pd-send run on a disk that fails")
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_what_is_kept_can_not_be_written(trial: Trial, trace: Path, error: str) -> None:
    """The page goes out, the exit code is the command's, and the next success resolves."""
    job = Job(trial)
    trial.agent.start()
    jobs = trial.agent.spool / "jobs"
    for call in ("pwrite64", "ftruncate:when=1", "fsync:when=1", "flock"):
        assert job.run("false", tracing(f"{call}:error={error}")) == 1, call
        trial.injected()
        assert job.run("true") == 0
        assert os.listdir(jobs) == [], call
    trial.recovers()
    resolves = [r for r in trial.api.accepted if b'"resolve"' in r.body]
    assert len(resolves) == 4


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A cgroup with 64 MB, whose processes the kernel kills when they want more."""
    # of cgroup version 1, of version 2
    for above, name in (("/sys/fs/cgroup/memory", "limit_in_bytes"), ("/sys/fs/cgroup", "max")):
        group = Path(above) / f"pdagent-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / f"memory.{name}").exists():
                (group / f"memory.{name}").write_text("64M")
                yield group
                return
        finally:
            group.rmdir()
    pytest.skip("no cgroup with a limit of memory can be made here")


@pytest.mark.fault("pd-send run, and its command out of memory")
@pytest.mark.needs_root
def test_out_of_memory(trial: Trial, little_memory: Path) -> None:
    """The kernel kills the command, and it is a page like any other."""
    enter = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(little_memory)]
    event = trial.begin(KEY, "job")
    words = ("-k", KEY, "-i", "job", "-d", event.text, "--", "tail", "/dev/zero")
    result = trial.agent.run("pd-send", "run", *words, under=enter)
    trial.injected()
    assert result.returncode == 128 + signal.SIGKILL, result
    trial.acknowledge(event)
    trial.recovers()
    [request] = [each for each in trial.api.accepted if each.dedup_key == "job"]
    assert b'"signal":"SIGKILL"' in request.body

"""Units: how a unit of systemd ended, as systemd tells it to the service that the unit's OnFailure=
or OnSuccess= starts.

systemd 251 and later tell a service in its environment, where one service has started it. Else
systemctl is asked for the state of the unit. A unit without OnSuccess= has failed, whatever its
state is by now: somebody may have started it anew.
"""

import os
import re
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from pdagent.jobs.wording import signal_name

SECONDS = 10.0  # for systemctl and journalctl, each; journals are large, and disks slow
_OUTPUT_BYTES = 131_072  # of theirs that are kept
# What to say for a result, where that is not systemd's word itself.
_WORDS = {
    "timeout": "timed out",
    "oom-kill": "out of memory",
    "watchdog": "its watchdog had no sign of life",
    "start-limit": "started too often",
    "start-limit-hit": "started too often",
    "resources": "systemd could not start it",
    "protocol": "it did not say that it is ready",
}
_CODES = {"1": "exited", "2": "killed", "3": "dumped"}  # CLD_EXITED and so on
_NAME = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}")  # as systemd's unit-name.c has it
_PROPERTIES = ("ActiveState", "Result", "ExecMainCode", "ExecMainStatus", "OnSuccess")


@dataclass(frozen=True, slots=True)
class Result:
    """How a unit ended. `result` is systemd's word; `code` is exited, killed, dumped or "", and
    `status` the exit code or the signal that belong to it."""

    failed: bool
    result: str
    code: str
    status: str

    def how(self) -> str:
        """For a person: "exit 3", "killed by SIGKILL", "timed out"."""
        if self.result in _WORDS:
            return _WORDS[self.result]
        if self.code == "exited" and self.status not in ("", "0"):
            return f"exit {self.status}"
        if self.code in ("killed", "dumped") and self.status:
            more = ", which dumped core" if self.code == "dumped" else ""
            return f"killed by {_signal(self.status)}{more}"
        return f"result {self.result or 'unknown'}"

    def details(self) -> dict[str, object]:
        """The same as details of an event: `result`, and `exit` or `signal`."""
        ending: dict[str, object] = {"result": self.result} if self.result else {}
        if self.code == "exited":
            ending["exit"] = int(self.status) if self.status.isdigit() else self.status
        elif self.status:
            ending["signal"] = _signal(self.status)
        return ending


def is_name(text: str) -> bool:
    """Whether a unit can have that name. One without a suffix is systemctl's short form."""
    return _NAME.fullmatch(text) is not None


def told(unit: str, environment: Mapping[str, str]) -> Result | None:
    """What systemd has told us of the unit; None if it has not."""
    if environment.get("MONITOR_UNIT") != unit or "MONITOR_SERVICE_RESULT" not in environment:
        return None
    result = environment["MONITOR_SERVICE_RESULT"]
    code, status = (environment.get(f"MONITOR_EXIT_{name}", "") for name in ("CODE", "STATUS"))
    return Result(result != "success", result, code, status)


def asked(unit: str) -> Result:
    """What systemctl says of the unit now."""
    words = [word for name in _PROPERTIES for word in ("-p", name)]
    output = _output(["systemctl", "show", *words, "--", unit]).decode("utf-8", "replace")
    found = dict(line.partition("=")[::2] for line in output.splitlines())
    state, result = found.get("ActiveState"), found.get("Result", "")
    succeeded = bool(found.get("OnSuccess")) and (state, result) == ("inactive", "success")
    code = _CODES.get(found.get("ExecMainCode", ""), "")
    status = found.get("ExecMainStatus", "") if code else ""
    return Result(not succeeded, result, code, status)


def journal(unit: str, lines: int, environment: Mapping[str, str]) -> bytes:
    """The last lines that the unit has in the journal, of this run where systemd has said which it
    is; b"" where we may not read them."""
    which = ["--unit", unit]
    run = environment.get("MONITOR_INVOCATION_ID", "") if told(unit, environment) else ""
    if run.isalnum():  # what it wrote, and what systemd said of it
        which = [f"_SYSTEMD_INVOCATION_ID={run}", "+", f"INVOCATION_ID={run}"]
    shape = ["--no-pager", "--quiet", "--output", "cat", "--lines", str(lines)]
    return _output(["journalctl", *shape, *which]) if lines else b""


def _output(command: list[str]) -> bytes:
    """The last of what a command writes, _OUTPUT_BYTES at most; b"" where that takes too long. A
    service may put lines of any length into the journal."""
    deadline = time.monotonic() + SECONDS
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return b""
    with process:
        assert process.stdout is not None
        try:
            return _last(process.stdout.fileno(), deadline)
        finally:
            process.kill()


def _last(fd: int, deadline: float) -> bytes:
    poller = select.poll()
    poller.register(fd)
    kept = b""
    while (rest := deadline - time.monotonic()) > 0 and poller.poll(rest * 1000):
        piece = os.read(fd, 65_536)
        if not piece:
            return kept
        kept = (kept + piece)[-_OUTPUT_BYTES:]
    return b""


def _signal(status: str) -> str:
    return signal_name(int(status)) if status.isdigit() else f"SIG{status.removeprefix('SIG')}"

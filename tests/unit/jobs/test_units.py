"""What systemd says of a unit, in its environment or by systemctl, is understood."""

from pathlib import Path

import pytest

from pdagent.jobs import units

UNIT = "backup.service"


def told(result: str, code: str, status: str) -> dict[str, str]:
    return {
        "MONITOR_UNIT": UNIT,
        "MONITOR_SERVICE_RESULT": result,
        "MONITOR_EXIT_CODE": code,
        "MONITOR_EXIT_STATUS": status,
        "MONITOR_INVOCATION_ID": "0123456789abcdef0123456789abcdef",
    }


@pytest.mark.parametrize(
    ("result", "code", "status", "says", "details"),
    [
        ("exit-code", "exited", "3", "exit 3", {"result": "exit-code", "exit": 3}),
        (
            "signal",
            "killed",
            "KILL",
            "killed by SIGKILL",
            {"result": "signal", "signal": "SIGKILL"},
        ),
        (
            "core-dump",
            "dumped",
            "SEGV",
            "killed by SIGSEGV, which dumped core",
            {"result": "core-dump", "signal": "SIGSEGV"},
        ),
        (
            "oom-kill",
            "killed",
            "KILL",
            "out of memory",
            {"result": "oom-kill", "signal": "SIGKILL"},
        ),
        ("timeout", "", "", "timed out", {"result": "timeout"}),
        ("exec-condition", "", "", "result exec-condition", {"result": "exec-condition"}),
    ],
)
def test_a_failure(
    result: str, code: str, status: str, says: str, details: dict[str, object]
) -> None:
    """As systemd 251 and later tell it."""
    found = units.told(UNIT, told(result, code, status))
    assert found is not None
    assert (found.failed, found.how(), found.details()) == (True, says, details)


def test_a_success() -> None:
    """A unit that ended well has not failed."""
    found = units.told(UNIT, told("success", "exited", "0"))
    assert found is not None
    assert not found.failed


@pytest.mark.parametrize("environment", [{}, {"MONITOR_UNIT": UNIT}, told("x", "", "")])
def test_what_is_not_told_of_this_unit(environment: dict[str, str]) -> None:
    """Several units at a time start one service: then systemd says of none how it ended."""
    assert units.told("other.service", environment) is None


@pytest.mark.parametrize(
    ("shown", "failed", "says"),
    [
        ("ActiveState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=3", True, "exit 3"),
        ("ActiveState=failed Result=signal ExecMainCode=2 ExecMainStatus=9", True, "killed by SIG"),
        ("ActiveState=failed Result=exit-code", True, "result exit-code"),
        # started anew since, or ended well: without OnSuccess= it was a failure that called us
        ("ActiveState=active Result=success ExecMainCode=0 ExecMainStatus=0", True, "result succ"),
        ("ActiveState=inactive Result=success ExecMainCode=1 ExecMainStatus=0", True, "result"),
        ("ActiveState=inactive Result=success OnSuccess=pdagent-failed@x.service", False, ""),
        ("ActiveState=activating Result=success OnSuccess=pdagent-failed@x.service", True, ""),
        ("", True, "result unknown"),
    ],
)
def test_what_systemctl_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: str, failed: bool, says: str
) -> None:
    """Where systemd tells nothing: before 251, and of units that are no services."""
    program = tmp_path / "systemctl"
    lines = "\\n".join(shown.split())
    program.write_text(f"#!/bin/sh\n[ \"$1 $#\" = 'show 13' ] && printf '{lines}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = units.asked(UNIT)
    assert found.failed is failed
    assert found.how().startswith(says)


@pytest.mark.parametrize("endless", [False, True])
def test_a_journal_without_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endless: bool
) -> None:
    """A service may write lines of any length, and the page has memory and time for the last."""
    program = tmp_path / "journalctl"
    end = "yes" if endless else "echo; echo last words"
    program.write_text(f"#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x; {end}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(units, "SECONDS", 1.0 if endless else 60.0)
    written = units.journal(UNIT, 20, {})
    assert len(written) < 1_000_000
    assert written[-12:] == (b"" if endless else b"\nlast words\n")


def test_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the run that systemd names, else of the unit. Without a journal there are no lines."""
    program = tmp_path / "journalctl"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert b"--lines 7 --unit backup.service" in units.journal(UNIT, 7, {})
    found = units.journal(UNIT, 7, told("exit-code", "exited", "1"))
    assert b"--lines 7 _SYSTEMD_INVOCATION_ID=0123" in found
    assert units.journal(UNIT, 0, {}) == b""
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert units.journal(UNIT, 7, {}) == b""

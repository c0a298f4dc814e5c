"""What the queue and the log say of the last day."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.check.finding import Finding, Level
from pdagent.check.host import Host
from pdagent.check.record import DAY, queue, rate_limits
from pdagent.config import Config

LINE = "{at},123 WARNING Worker-1             pdagent.delivery     throttled {what}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    for name in ("pdq", "err"):
        (tmp_path / "lib/outqueue" / name).mkdir(parents=True)
    return Config({"data_dir": str(tmp_path / "lib"), "log_dir": str(tmp_path)})


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


def test_queue(settings: Config) -> None:
    """Events that wait are fine for ten minutes; events in error for a day are not."""
    now = time.time()
    assert only(queue(settings, Host())).text == "0 pending, none in error since yesterday"
    Path(f"{settings.spool_dir}/pdq/{int(now * 1e6) - 60_000_000}_KEY.txt").touch()
    waits = only(queue(settings, Host(now=lambda: now)))
    assert waits.level is Level.OK
    assert "1 pending, the oldest for 60 s" in waits.text
    assert only(queue(settings, Host(now=lambda: now + 3600))).level is Level.WARNING
    Path(f"{settings.spool_dir}/err/1_KEY.txt").touch()
    assert "1 in error" in only(queue(settings, Host(now=lambda: now))).text
    late, refused = queue(settings, Host(now=lambda: now + 3600))
    assert "pending" in late.text
    assert refused.text.startswith("1 in error since yesterday; the last: ")
    assert only(queue(settings, Host(now=lambda: now + 2 * DAY))).text.startswith("1 pending")


def test_rate_limits(settings: Config, tmp_path: Path) -> None:
    """Throttled keys of the last day, by their last four characters, from the log and the one
    before it; other lines, however alike, are not counted."""
    assert only(rate_limits(settings, Host())).level is Level.OK
    nowhere = Config({"log_dir": "/dev/null"})
    assert only(rate_limits(nowhere, Host())).level is Level.OK
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_795_420_800))
    throttled = LINE.format(
        at=at, what="17_*0617 (trigger, incident_key = a): 429; key held for 1 s"
    )
    told = throttled.replace("throttled", "failed 17_*0617 (trigger, throttled 1_*fake x)")
    (tmp_path / "pdagentd.log.1").write_text(throttled)
    (tmp_path / "pdagentd.log").write_text(throttled * 2 + told + "Traceback\n\0\n")
    found = only(rate_limits(settings, Host(now=lambda: 1_795_420_800 + 7200)))
    assert found.level is Level.WARNING
    assert found.text == "throttled: key *0617 3 times, last 2 h ago"
    assert only(rate_limits(settings, Host(now=lambda: 1_795_420_800 + 2 * DAY))).level is Level.OK

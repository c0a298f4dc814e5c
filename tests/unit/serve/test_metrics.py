"""What Prometheus gets to see."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse

from pdagent.queue.holds import Figures
from pdagent.serve.metrics import Collected
from pdagent.serve.tally import OTHERS, SENDERS_MOST, Tally
from pdagent.serve.textfile import Textfile

NOW = 1_795_420_800.0
HOLDS = {"destination": (0, 0), "key": (2, 30), "chain": (1, 1)}


def collected(
    root: Path,
    tally: Tally,
    oldest: str | None = None,
    reach: dict[str, float | None] | None = None,
    pending: dict[str, int] | None = None,
) -> Collected:
    figures = Figures(31, oldest, HOLDS, True)
    return Collected(
        tally, lambda: figures, lambda: reach or {}, lambda: pending or {}, str(root), lambda: NOW
    )


def values(metrics: Collected) -> dict[str, float]:
    """Samples by name and labels."""
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()
    samples = [sample for family in parse(text) for sample in family.samples]
    return {" ".join([s.name, *s.labels.values()]): s.value for s in samples}


def test_what_senders_have_pending(root: Path) -> None:
    """By name, 0 for those that are known; those that are too many for a line each are one."""
    tally = Tally()
    tally.expect(["web1", "db1"])
    tally.count_full("db1")
    pending = {"db1": 7, **{f"10.0.0.{number}": number for number in range(1, SENDERS_MOST + 2)}}
    found = values(collected(root, tally, pending=pending))
    assert found["pdagent_sender_pending web1"] == 0
    assert found["pdagent_sender_pending db1"] == 7
    assert found[f"pdagent_sender_pending 10.0.0.{SENDERS_MOST + 1}"] == SENDERS_MOST + 1
    assert found[f"pdagent_sender_pending {OTHERS}"] == 1 + 2 + 3
    assert found["pdagent_sender_refusals_total db1"] == 1
    assert len([name for name in found if name.startswith("pdagent_sender_p")]) == SENDERS_MOST + 1


def test_each_relay_is_reached_or_not(root: Path) -> None:
    """By its address, and since when it is not; nothing where no relay is named."""
    lost: dict[str, float | None] = {"https://a:1": None, "https://b:1": time.monotonic() - 60}
    found = values(collected(root, Tally(), reach=lost))
    assert found["pdagent_relay_reachable https://a:1"] == 1
    assert found["pdagent_relay_reachable https://b:1"] == 0
    since = "pdagent_relay_lost_timestamp_seconds"
    assert found[f"{since} https://b:1"] == pytest.approx(NOW - 60, abs=30)
    assert f"{since} https://a:1" not in found
    assert not [name for name in values(collected(root, Tally())) if "_relay_" in name]


def test_counts(root: Path) -> None:
    """Every series is there from the start, 0: an alert on one that is absent never fires."""
    tally = Tally()
    found = values(collected(root, tally))
    assert found["pdagent_events_refused_total given_up"] == 0
    assert found["pdagent_retries_total throttled"] == 0
    assert found["pdagent_lapses_total"] == found["pdagent_expectations lapsed"] == 0
    assert "pdagent_last_success_timestamp_seconds" not in found
    tally.count_accepted(3)
    tally.count_delivered(NOW - 0.2, NOW)
    tally.count_refused("key")
    tally.count_retry("throttled")
    tally.count_removed()
    tally.count_lapse()
    tally.waiting, tally.lapsed = 5, 1
    found = values(collected(root, tally))
    assert found["pdagent_events_accepted_total"] == 3
    assert found["pdagent_events_delivered_total"] == found["pdagent_events_removed_total"] == 1
    assert found["pdagent_events_refused_total key"] == 1
    assert found["pdagent_retries_total throttled"] == 1
    assert found["pdagent_lapses_total"] == found["pdagent_expectations lapsed"] == 1
    assert found["pdagent_expectations waiting"] == 5
    assert found["pdagent_delivery_seconds_bucket 0.1"] == 0
    assert found["pdagent_delivery_seconds_bucket 0.25"] == 1
    assert found["pdagent_delivery_seconds_bucket +Inf"] == 1
    assert found["pdagent_delivery_seconds_count"] == 1
    assert found["pdagent_delivery_seconds_sum"] == pytest.approx(0.2)
    assert found["pdagent_last_success_timestamp_seconds"] == NOW


def test_figures(root: Path) -> None:
    """What waits, what is held and what the spool takes are counted at each look."""
    (root / "pdq" / "1_A.txt").write_bytes(b"12345")
    oldest = f"{int((NOW - 90) * 1e6)}_KEY.txt"
    found = values(collected(root, Tally(), oldest))
    assert found["pdagent_events_pending"] == 31
    assert found["pdagent_oldest_pending_seconds"] == pytest.approx(90)
    assert found["pdagent_holds key"] == 2
    assert found["pdagent_held_events key"] == 30
    assert found["pdagent_destination_reachable"] == 1
    assert found["pdagent_spool_bytes pending"] == 5
    assert found["pdagent_spool_free_bytes"] > 0


def test_no_key_is_a_label(root: Path) -> None:
    """However many keys there are, the series are as many as without."""
    oldest = f"{int(NOW)}_c7a4f1e2b9d84c6fa0b1c2d3e4f50617.txt"
    assert not [name for name in values(collected(root, Tally(), oldest)) if "0617" in name]


@pytest.mark.skipif(not shutil.which("promtool"), reason="prometheus is not installed")
def test_promtool_has_no_complaint(root: Path) -> None:
    """Names, units and help texts are as Prometheus wants them."""
    registry = CollectorRegistry()
    registry.register(collected(root, Tally()))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(registry), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_file(tmp_path: Path) -> None:
    """Whole or not at all, for all to read, written when there is something new or a minute has
    gone by; a place that can't be written is no disaster."""
    now = 0.0
    tally = Tally()
    path = tmp_path / "pdagent.prom"
    nowhere = tmp_path / "no spool"  # whose disk others would fill meanwhile
    target = Textfile(str(path), collected(nowhere, tally), lambda: now)
    target.write()
    assert path.stat().st_mode & 0o777 == 0o644
    assert "pdagent_events_accepted_total 0.0" in path.read_text()
    path.unlink()
    target.write()
    assert not path.exists()
    tally.count_accepted(1)
    target.write()
    assert "pdagent_events_accepted_total 1.0" in path.read_text()
    path.unlink()
    now = 60.0
    target.write()
    assert path.exists()
    assert [other.name for other in tmp_path.iterdir() if "prom" in other.name] == [path.name]
    path.unlink()
    path.mkdir()
    now = 120.0
    target.write()
    assert [other.name for other in tmp_path.iterdir() if "prom" in other.name] == [path.name]


def test_a_daemon_without_metrics_does_without_their_library() -> None:
    """Nothing that the daemon imports at its start brings it in."""
    code = "import sys, pdagent.commands.pdagentd, pdagent.daemon.workers; "
    code += "print([name for name in sys.modules if 'prometheus' in name or 'waitress' in name])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={"PYTHONPATH": "agent"}, check=True
    )
    assert done.stdout == b"[]\n"


def test_senders(root: Path) -> None:
    """One series each, from the start, and no more than the bound, whatever names certificates
    give."""
    tally = Tally()
    assert "pdagent_endpoint_refusals_total 401" not in values(collected(root, tally))
    tally.expect(["web1", "web2"])
    tally.count_taken("web1")
    tally.count_turned_away(401)
    found = values(collected(root, tally))
    assert found["pdagent_endpoint_events_total web1"] == 1
    assert found["pdagent_endpoint_events_total web2"] == 0
    assert found["pdagent_endpoint_refusals_total 401"] == 1
    for number in range(SENDERS_MOST + 10):
        tally.count_taken(f"n{number}")
    assert len(tally.taken) == SENDERS_MOST + 1
    assert tally.taken[OTHERS] == 12

"""What docs/prometheus offers: alerts that fire when they should, panels that ask for what there
is."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pdagent.queue.holds import Figures
from pdagent.serve.metrics import Collected
from pdagent.serve.tally import Tally

HERE = Path(__file__).parent
OFFERED = HERE.parents[1] / "docs" / "prometheus"
ALERTS = OFFERED / "alerts.yml"

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="prometheus is not installed")


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def panels() -> Iterator[str]:
    """The dashboard's questions, its variables filled in."""
    for panel in json.loads((OFFERED / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            question = target["expr"].replace("$instance", ".*")
            yield question.replace("$__rate_interval", "1m").replace("$__range", "6h")


def test_alerts_fire() -> None:
    """Each on what it is for, and none before its time; by promtool's own unit tests."""
    promtool("check", "rules", ALERTS)
    promtool("test", "rules", HERE / "alerts_test.yml")


def test_each_alert_has_its_page() -> None:
    """What it means, where to look and what to do, at the end of its runbook_url."""
    page = (OFFERED.parent / "alerts.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    alerts = ALERTS.read_text()
    names = re.findall(r"- alert: (\w+)", alerts)
    assert list(sections) == names
    assert re.findall(r"runbook_url: \S+/docs/alerts.md#(\w+)", alerts) == [
        name.lower() for name in names
    ]
    for name, text in sections.items():
        for part in ("**Meaning.**", "**Look.**", "**Remedy.**"):
            assert part in text, name


def test_panels_can_be_asked(tmp_path: Path) -> None:
    """Prometheus understands every question of the dashboard."""
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(panels())]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "panels.yml")


def test_what_stands_at_the_top_is_of_this_moment() -> None:
    """Figures at large say nothing that was true hours ago: with no agent left, none is green."""
    panels = json.loads((OFFERED / "dashboard.json").read_text())["panels"]
    figures = [panel for panel in panels if panel["type"] == "stat"]
    assert len(figures) == 6
    for panel in figures:
        [target] = panel["targets"]
        assert target["instant"], panel["title"]
        assert not target["range"], panel["title"]
        if panel["title"] in ("Agents", "PagerDuty", "Pending", "Oldest pending"):
            options = [each["options"] for each in panel["fieldConfig"]["defaults"]["mappings"]]
            gone = [each["result"] for each in options if each.get("match") == "null+nan"]
            assert [(each["text"], each["color"]) for each in gone] == [("no agent", "red")]


def test_nothing_is_asked_that_is_not_there(root: Path) -> None:
    """All metrics that alerts and panels name are the agent's, and all labels theirs."""
    tally = Tally()
    tally.count_delivered(1.0, 2.0)
    tally.count_taken("web1")
    tally.count_turned_away(401)
    tally.count_full("web1")
    holds = dict.fromkeys(("destination", "key", "chain"), (0, 0))
    registry = CollectorRegistry()
    figures = Figures(0, None, holds, True)
    lost: dict[str, float | None] = {"https://relay1": 1.0}
    registry.register(Collected(tally, lambda: figures, lambda: lost, dict, str(root)))
    shown = set(re.findall(r"^pdagent\w+", generate_latest(registry).decode(), re.MULTILINE))
    asked = set(re.findall(r"\bpdagent_\w+", "\n".join([*panels(), ALERTS.read_text()])))
    assert asked <= shown
    documented = set(re.findall(r"`(pdagent_\w+)`", (OFFERED.parent / "metrics.md").read_text()))
    histogram = {f"pdagent_delivery_seconds_{part}" for part in ("bucket", "count", "sum")}
    assert documented == shown - histogram | {"pdagent_delivery_seconds"}

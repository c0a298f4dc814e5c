"""The configuration as `pdagent check` sees it."""

from pathlib import Path

import pytest

from pdagent import config
from pdagent.check.configuration import configuration, region
from pdagent.check.finding import Finding, Level


def found(path: Path, text: str) -> list[Finding]:
    path.write_text(text)
    settings, _ = config.load(str(path))
    return [*configuration(str(path)), *region(settings)]


@pytest.mark.parametrize(
    ("text", "level", "says"),
    [
        ("[Main]\nmax_connections = many\n", Level.FAILED, "line 2: Bad max_connections"),
        ("[Main]\nsend_interval_secs = 0\n", Level.WARNING, "line 2: send_interval_secs must"),
        ("[Main]\nsend_intervall_secs = 1\n", Level.WARNING, "is not a setting that pdagent knows"),
        ("[Main]\nevents_url = http://far.example\n", Level.WARNING, "without encryption"),
        (
            "[Main]\nevents_url = https://far.example\nservice_region = eu\n",
            Level.WARNING,
            "not the region eu",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, level: Level, says: str) -> None:
    """Each mistake is one finding, with what to do."""
    [bad] = [f for f in found(tmp_path / "conf", text) if f.level is not Level.OK]
    assert bad.level is level
    assert says in bad.text
    assert bad.remedy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Main]\n", "us: https://events.pagerduty.com"),
        ("[Main]\nservice_region = eu\n", "eu: https://events.eu.pagerduty.com"),
        ("[Main]\nevents_url = http://127.0.0.1:80\n", "http://127.0.0.1:80 (events_url)"),
    ],
)
def test_region(tmp_path: Path, text: str, says: str) -> None:
    """Without a mistake it says where events go."""
    assert [finding.text for finding in found(tmp_path / "conf", text)][1] == says


def test_a_password_for_everybody(tmp_path: Path) -> None:
    """A proxy's password in a file that all may read is warned of, and not shown."""
    path = tmp_path / "conf"
    path.touch(0o644)
    path.chmod(0o644)
    warned, _ = found(path, "[Main]\nproxy_url = http://me:s3cret@proxy:3128\n")
    assert warned.level is Level.WARNING
    assert "s3cret" not in warned.text + warned.remedy
    path.chmod(0o640)
    assert found(path, path.read_text())[0].level is Level.OK

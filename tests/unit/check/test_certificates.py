"""The certificates that the agent shows are looked at before senders are turned away."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pdagent.check.certificates import certificates, term
from pdagent.check.finding import Level
from pdagent.config import Config
from tests.support.events_api.certificates import CertificateAuthority


@pytest.mark.parametrize("name", ["listen_cert", "events_client_cert"])
@pytest.mark.parametrize(
    ("left", "level", "says"),
    [
        (timedelta(days=-3), Level.FAILED, "it expired 3 days ago"),
        (timedelta(days=5), Level.WARNING, "it expires in 5 days"),
        (timedelta(days=90), Level.OK, "it holds for 90 days"),
    ],
)
def test_how_long_it_holds(
    tmp_path: Path, name: str, left: timedelta, level: Level, says: str
) -> None:
    """Not its authority's, and whether or not anybody has shown it yet."""
    until = datetime.now(UTC) + left
    file, _ = CertificateAuthority().files(str(tmp_path), "relay1", until=until)
    [finding] = certificates(Config({name: file}), lambda: time.time() - 1)
    assert (finding.level, finding.text) == (level, f"{name} = {file}: {says}")


def test_one_that_is_not_valid_yet(tmp_path: Path) -> None:
    """Nobody takes it, as where a clock is wrong."""
    file, _ = CertificateAuthority().files(str(tmp_path), "relay1")
    begins, _ = term(file)
    [finding] = certificates(Config({"listen_cert": file}), lambda: begins - 3 * 86_400)
    assert finding.level is Level.FAILED
    assert finding.text == f"listen_cert = {file}: it is valid in 3 days only"


def test_other_lines_say_what_is_no_certificate(tmp_path: Path) -> None:
    """Nor is there one without a setting."""
    (tmp_path / "junk").write_text("junk")
    os.mkfifo(tmp_path / "fifo")  # nobody waits for its writer
    for file in ("", f"{tmp_path}/junk", f"{tmp_path}/none", f"{tmp_path}/fifo"):
        assert list(certificates(Config({"listen_cert": file}), time.time)) == []

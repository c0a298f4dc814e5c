"""The certificates that the agent shows are looked at before senders are turned away."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pdagent.check.certificates import certificates, term, terms
from pdagent.check.finding import Level
from pdagent.config import Config
from tests.support.events_api.certificates import CertificateAuthority, home_made


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


def test_the_authorities_of_senders(tmp_path: Path) -> None:
    """Senders get in as long as one of them is valid: the others may be there from before."""
    old, new = (Path(CertificateAuthority(str(tmp_path / each)).ca_file) for each in ("old", "new"))
    [(begins, ends)] = terms(str(old))
    settings = Config({"listen_client_ca": str(old)})

    def level(now: float) -> Level:
        [finding] = certificates(settings, lambda: now)
        assert finding.text.startswith(f"listen_client_ca = {old}: it ")
        return finding.level

    assert level(begins + 1) is Level.OK
    assert level(ends - 5 * 86_400) is Level.WARNING
    assert level(ends + 1) is Level.FAILED
    home_made(str(tmp_path))
    old.write_bytes((tmp_path / "home-ca.pem").read_bytes() + new.read_bytes())
    assert len(terms(str(old))) == 2
    assert level(time.time() + 20 * 86_400) is Level.OK


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

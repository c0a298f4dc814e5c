"""The configuration alone, and the files that it names."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pdagent.check.alone import alone, closed
from pdagent.check.finding import Finding, Level
from pdagent.config import Config
from pdagent.settings import CREDENTIALS
from tests.support.events_api import CertificateAuthority


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A configuration that has nothing to do with this host's."""
    path = tmp_path / "pdagent.conf"
    path.write_text(
        f"[Main]\ndata_dir = {tmp_path}\nlog_dir = {tmp_path}\nrun_dir = {tmp_path}/run\n"
    )
    return path


def wrong(conf: Path, **settings: object) -> list[Finding]:
    lines = [f"{name} = {value}" for name, value in settings.items()]
    conf.write_text("\n".join([conf.read_text(), *lines, ""]))
    return [each for each in alone(str(conf)) if each.level is not Level.OK]


RELAY = "https://relay.example"


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("keys_file", {}),
        ("ca_file", {}),
        ("ca_file", {"events_url": "http://127.0.0.1:1", "proxy_url": "https://127.0.0.1:2"}),
        ("ca_file", {"events_url": f"http://127.0.0.1:1 {RELAY}"}),
        ("events_token_file", {"events_url": RELAY}),
        ("events_client_cert", {"events_url": RELAY}),
        ("listen_tokens_file", {"listen": "127.0.0.1:1"}),
        ("listen_cert", {"listen": "127.0.0.1:1"}),
    ],
)
@pytest.mark.parametrize("what", ["none", "junk", "directory"])
def test_a_file_that_cannot_be_used(
    conf: Path, name: str, others: dict[str, str], what: str
) -> None:
    """Whichever setting names it, there is a line with its path and a remedy."""
    (conf.parent / "junk").write_text("of no use\nto anybody\n")
    (conf.parent / "junk").chmod(0o640)
    (conf.parent / "directory").mkdir(mode=0o750)
    file = conf.parent / what
    [found, *_] = wrong(conf, **{name: file, **others})
    assert found.level is Level.FAILED
    assert str(file) in found.text
    assert found.remedy


def test_a_certificate_that_has_expired(conf: Path, authority: CertificateAuthority) -> None:
    """Nobody has to start the service to see it."""
    conf.parent.chmod(0o755)
    until = datetime.now(UTC) - timedelta(days=3)
    cert, key = authority.files(str(conf.parent), "relay1", until=until)
    [found] = wrong(conf, listen="127.0.0.1:1", listen_cert=cert, listen_key=key)
    assert (found.level, found.subject) == (Level.FAILED, "certificates")


def test_what_only_the_service_can_read(conf: Path) -> None:
    """A credential is not there before the service runs: that is no mistake."""
    names = ("keys_file", "ca_file", "events_token_file")
    found = wrong(conf, events_url=RELAY, **{name: f"credential:{name}" for name in names})
    assert [each.level for each in found] == [Level.UNKNOWN] * 3


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("127.0.0.1:9110", "127.0.0.1:9110", [Level.FAILED]),
        ("127.0.0.1:9110", "127.0.0.1:9111", []),
        ("127.0.0.1:9110", "127.0.0.2:9110", []),
        ("[::1]:9110", "[0:0:0:0:0:0:0:1]:9110", [Level.FAILED]),
        ("[::1]:9110", "127.0.0.1:9110", []),
        ("/run/s", "/run/s", [Level.FAILED]),
        ("/run/s", "/run/t", []),
        ("/run/s", "127.0.0.1:9110", []),
    ],
)
def test_two_at_one_address(conf: Path, one: str, other: str, level: list[Level]) -> None:
    """The endpoint and the metrics: whichever comes second gets none."""
    assert [each.level for each in wrong(conf, listen=one, metrics_listen=other)] == level


def test_two_at_one_port(conf: Path) -> None:
    """At any address is at each."""
    found = wrong(conf, listen="127.0.0.1:1", metrics_listen="0.0.0.0:1", metrics_remote="on")
    assert [each.level for each in found] == [Level.FAILED]


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("listen", Level.FAILED),
        ("metrics_listen", Level.WARNING),
        ("metrics_file", Level.WARNING),
    ],
)
def test_a_directory_that_is_not_there(conf: Path, name: str, level: Level) -> None:
    """That of the service's own need not be there before it runs."""
    [found] = wrong(conf, **{name: f"{conf.parent}/none/x"})
    assert (found.level, found.text) == (
        level,
        f"{name} = {conf.parent}/none/x: there is no directory {conf.parent}/none",
    )
    assert wrong(conf, run_dir=f"{conf.parent}/none") == []
    [found] = wrong(conf, **{name: f"{conf}/x"})
    assert found.text == f"{name} = {conf}/x: {conf} is not a directory"


@pytest.mark.parametrize(
    ("source", "url", "more", "wrongly"),
    [
        ("::1", "http://127.0.0.1:1", {}, True),
        ("127.0.0.1", "http://[::1]:1", {}, True),
        ("127.0.0.1", "http://127.0.0.1:1", {}, False),
        ("0.0.0.0", "http://[::1]:1", {}, False),
        ("::1", "https://relay.example", {}, False),
        ("::1", "https://relay.example", {"proxy_url": "http://127.0.0.1:1"}, True),
        ("::1", "http://[::1]:1 http://127.0.0.1:1", {}, True),
    ],
)
def test_a_source_address_of_another_kind(
    conf: Path, source: str, url: str, more: dict[str, str], wrongly: bool
) -> None:
    """As far as that can be seen without looking names up."""
    found = wrong(conf, source_address=source, events_url=url, **more)
    texts = [each.text for each in found if "of another kind" in each.text]
    assert [text.startswith(f"source_address = {source} ") for text in texts] == [True] * wrongly


def test_mistakes_come_alone(conf: Path) -> None:
    """Where a line can't be used, the rest would be about a default."""
    [found] = wrong(conf, ca_file="here", listen=FAR)
    assert "Bad ca_file" in found.text


FAR = "0.0.0.0:49463"


@pytest.mark.parametrize(
    ("settings", "subject", "says"),
    [
        ({"listen": FAR}, "endpoint", "lets other hosts in without encryption: set listen_cert"),
        ({"listen": "[::1]:1", "listen_cert": "/none"}, "endpoint", "listen_cert = /none: No such"),
        ({"listen": "/run/s", "listen_key": "/none"}, "endpoint", "set without a certificate"),
        ({"metrics_listen": "0.0.0.0:9110"}, "metrics", "the metrics stay closed"),
    ],
)
def test_what_stays_closed(settings: dict[str, str], subject: str, says: str) -> None:
    """What the service would not open is a failure, with what to do."""
    [found] = closed(Config({**settings}))
    assert (found.level, found.subject) == (Level.FAILED, subject)
    assert says in found.text
    assert found.remedy


def test_what_opens() -> None:
    """An address of this host, and metrics that others may read."""
    near = {"listen": "127.0.0.1:49463", "metrics_listen": "[::1]:9110"}
    assert list(closed(Config({**near}))) == []
    assert list(closed(Config({"metrics_listen": "0.0.0.0:9110", "metrics_remote": True}))) == []
    assert list(closed(Config({}))) == []


def test_a_credential_is_the_services() -> None:
    """Nobody else can read it, so nobody else can say whether the endpoint opens."""
    file = f"{CREDENTIALS}/tokens"
    [found] = closed(Config({"listen": "/run/s", "listen_tokens_file": file}))
    assert (found.level, found.text) == (Level.UNKNOWN, f"only the service can read {file}")

"""What the answer of the Events API, or the lack of one, means for each line about the network."""

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdagent.check.certificates import term
from pdagent.check.finding import Finding, Level
from pdagent.check.network import ca_bundle, clock, dns, events_api, proxy, tls
from pdagent.check.service import Environment
from pdagent.config import Config
from pdagent.wire.question import Answer, Certificate
from tests.support.events_api import CertificateAuthority

DATE = "Mon, 23 Nov 2026 08:00:00 GMT"
NOW = 1_795_420_800.0
DAY = 86_400
HTTPS = Config({})
SOMEBODY = Environment({}, "somewhere")


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


@pytest.mark.parametrize(
    ("skew", "level", "says"),
    [
        (0, Level.OK, "agrees"),
        (-29, Level.OK, "agrees"),
        (40, Level.WARNING, "40 s ahead of"),
        (-40, Level.WARNING, "40 s behind"),
        (7200, Level.FAILED, "2 h ahead of"),
        (-86_400 * 20_000, Level.FAILED, "55 years behind"),
    ],
)
def test_clock(skew: float, level: Level, says: str) -> None:
    """A clock that is far from the time of the Events API is a warning, or fails the check."""
    answer = Answer(200, {"date": DATE})
    finding = only(clock(lambda: answer, lambda: NOW + 0.5 + skew))
    assert finding.level is level
    assert says in finding.text


@pytest.mark.parametrize("headers", [{}, {"date": "today"}, {"date": ""}])
def test_no_date(headers: dict[str, str]) -> None:
    """A server that does not say what time it is leaves the clock unknown."""
    assert only(clock(lambda: Answer(200, headers), lambda: NOW)).level is Level.UNKNOWN


@pytest.mark.parametrize(("left", "level"), [(90 * DAY, Level.OK), (3 * DAY, Level.WARNING)])
def test_certificate(left: float, level: Level) -> None:
    """The version of TLS and the issuer are named. A certificate that is about to expire is a
    warning."""
    certificate = Certificate("TLSv1.3", "Some CA", NOW + left)
    finding = only(tls(HTTPS, lambda: Answer(404, certificate=certificate), lambda: NOW))
    assert finding.level is level
    assert "TLSv1.3" in finding.text
    assert "Some CA" in finding.text


@pytest.mark.parametrize("stage", ["trust", "name", "proxy", "tls", "connection"])
def test_every_stage_has_its_remedy(stage: str) -> None:
    """Wherever the way ends, one line says where and what to do; what it hides is unknown, not
    wrong."""
    answer = Answer(stage=stage, why="because")
    finding = only(events_api(HTTPS, lambda: answer))
    assert finding.level is Level.FAILED
    assert "because" in finding.text
    assert finding.remedy
    chain = only(tls(HTTPS, lambda: answer, lambda: NOW))
    assert chain.level is (Level.FAILED if stage == "tls" else Level.UNKNOWN)
    assert only(clock(lambda: answer, lambda: NOW)).level is Level.UNKNOWN


def test_a_source_address_of_somebody_else() -> None:
    """An address that this host does not have is named with its setting."""
    settings = Config({"source_address": "192.0.2.1"})
    answer = Answer(stage="connection", why="[Errno 99] Cannot assign requested address")
    assert "source_address = 192.0.2.1" in only(events_api(settings, lambda: answer)).remedy


def test_a_source_address_of_another_kind() -> None:
    """The firewall has nothing to do with it."""
    answer = Answer(stage="connection", why="it has no address of the kind of source_address = ::1")
    remedy = only(events_api(Config({"source_address": "::1"}), lambda: answer)).remedy
    assert remedy.startswith("Name an address of the same kind, IPv4 or IPv6")


def test_proxies() -> None:
    """The proxy is shown without its password, with where it was set, and what it answered."""
    settings = Config({"proxy_url": "http://me:s3cret@proxy.example:3128"})
    works = only(proxy(settings, SOMEBODY, lambda: Answer(404)))
    assert (works.level, works.text) == (Level.OK, "http://proxy.example:3128 (proxy_url)")
    refused = Answer(stage="proxy", why="Tunnel connection failed: 407 Proxy Authentication")
    finding = only(proxy(settings, SOMEBODY, lambda: refused))
    assert finding.level is Level.FAILED
    assert "NAME:PASSWORD" in finding.remedy
    assert only(proxy(settings, SOMEBODY, lambda: Answer(407))).level is Level.FAILED


def test_no_proxy() -> None:
    """None is fine; none that this user may see is not known to be none."""
    direct = Config({"events_url": "http://127.0.0.1"})
    assert only(proxy(direct, SOMEBODY, Answer)).level is Level.OK
    hidden = Environment({}, "your environment", hidden="/etc/default/pdagent")
    assert only(proxy(direct, hidden, Answer)).level is Level.UNKNOWN
    stale = Environment({}, "the running daemon", stale="/etc/default/pdagent")
    warned, _ = proxy(direct, stale, Answer)
    assert "restart" in warned.remedy


def test_names() -> None:
    """The name that is looked up is the Events API's, or the proxy's where there is one."""

    def none(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    finding = only(dns(HTTPS, none))
    assert finding.level is Level.FAILED
    assert finding.text == "events.pagerduty.com: Name or service not known"
    by_proxy = Config({"proxy_url": "http://proxy.example:3128"})
    assert "proxy.example has 2 addresses" in only(dns(by_proxy, lambda *_, **__: [1, 2])).text


def test_a_certificate_that_is_trusted_for_itself(tmp_path: Path) -> None:
    """Such as Debian's snakeoil: it is no authority's, and TLS takes it all the same."""
    file, _ = CertificateAuthority().files(str(tmp_path), "localhost")
    _, until = term(file)
    settings = Config({"ca_file": file})
    assert only(ca_bundle(settings, {}, lambda: until - 40 * DAY)).level is Level.OK
    assert only(ca_bundle(settings, {}, lambda: until + DAY)).level is Level.FAILED


def test_authorities(tmp_path: Path) -> None:
    """A bundle is judged by how many of its authorities are valid today."""
    bundle = tmp_path / "bundle.pem"
    authority = CertificateAuthority(str(tmp_path))
    bundle.write_bytes(Path(authority.ca_file).read_bytes())
    settings = Config({"ca_file": str(bundle)})
    context = ssl.create_default_context(cafile=str(bundle))
    until = ssl.cert_time_to_seconds(str(context.get_ca_certs()[0]["notAfter"]))
    assert only(ca_bundle(settings, {}, lambda: until - 40 * DAY)).level is Level.OK
    assert only(ca_bundle(settings, {}, lambda: until - 20 * DAY)).level is Level.WARNING
    assert only(ca_bundle(settings, {}, lambda: until + DAY)).level is Level.FAILED
    bundle.write_text("no certificate")
    assert only(ca_bundle(settings, {}, lambda: 0)).level is Level.FAILED
    bundle.unlink()
    assert only(ca_bundle(settings, {}, lambda: 0)).level is Level.FAILED
    os.mkfifo(bundle)
    assert only(ca_bundle(settings, {}, lambda: 0)).text == f"{bundle}: it is not a regular file"

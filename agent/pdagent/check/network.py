"""Names, the proxy, TLS, and the clock: findings on the way out, from what it answered. Pure, but
for names and the file of CAs."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from pdagent.check.finding import Finding, days, failed, ok, several, unknown, warning
from pdagent.check.service import Environment
from pdagent.check.wayout import Ask, proxy_of, without_password
from pdagent.config import Config
from pdagent.wire.connections import NoTrust, ca_file
from pdagent.wire.question import Answer

DNS, PROXY, API, TLS, CA, CLOCK = "DNS", "proxy", "events API", "TLS", "CA bundle", "clock"
SKEW_WARNING, SKEW_FAILED = 30.0, 600.0
TLS_SOON = 7 * 86_400.0
CA_SOON = 30 * 86_400.0
CA_STALE = 0.1  # the share of authorities that may have expired

_SETTING = "/etc/default/pdagent or /etc/sysconfig/pdagent"
_REMEDIES = {
    "trust": "Install ca-certificates, or set ca_file.",
    "name": "See /etc/resolv.conf; or set https_proxy, if the proxy is to look up names.",
    "proxy": f"See https_proxy in {_SETTING}, and proxy_url; then restart the service.",
    "tls": "Install current ca-certificates; where a proxy opens TLS, name its CA in ca_file.",
    "connection": "Open the firewall for port 443, or name a proxy: docs/proxies.md.",
    "answer": "A proxy, a portal or a filter answers in PagerDuty's place: ask who runs it.",
}
_NOT_ASKED = "no answer of the Events API to learn it from"


def dns(settings: Config, resolve: Callable[..., list[object]] | None = None) -> Iterator[Finding]:
    """Whether the names on the way have addresses."""
    proxy = proxy_of(settings)
    host = urlsplit(proxy or settings.base_url).hostname or ""
    started = time.monotonic()
    try:
        found = (resolve or socket.getaddrinfo)(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = f"{host}: {getattr(error, 'strerror', None) or error}"
        yield failed(DNS, text, _REMEDIES["name"])
        return
    seconds = time.monotonic() - started
    text = f"{host} has {several(len(found), 'address', 'addresses')}"
    text += " (all other names are the proxy's to look up)" if proxy else ""
    if seconds > 2:
        yield warning(
            DNS, f"{text}, after {seconds:.0f} s", "See /etc/resolv.conf: a server is down."
        )
    else:
        yield ok(DNS, text)


def proxy(settings: Config, environment: Environment, ask: Ask) -> Iterator[Finding]:
    """Which proxy it is, and whether it lets us through."""
    used = without_password(proxy_of(settings))
    source = "proxy_url" if settings.proxy_url else environment.source
    if environment.stale and not settings.proxy_url:
        text = f"{environment.stale} says otherwise than the running daemon's environment"
        yield warning(PROXY, text, "systemctl restart pdagent (or: service pdagent restart)")
    if not used:
        if environment.hidden:
            text = (
                f"none in {environment.source}; the service's own, {environment.hidden}, is hidden"
            )
            yield unknown(PROXY, text, "Run it as root.")
        else:
            yield ok(PROXY, "none: the way is direct")
        return
    answer = ask()
    if answer.stage == "proxy":
        remedy = _REMEDIES["proxy"]
        if " 407" in answer.why or " 401" in answer.why:
            remedy = f"Give it the right name and password: http://NAME:PASSWORD@… in {_SETTING}."
        yield failed(PROXY, f"{used} ({source}): {answer.why}", remedy)
    elif answer.status == 407:
        remedy = f"Give it the right name and password: http://NAME:PASSWORD@… in {_SETTING}."
        yield failed(PROXY, f"{used} ({source}) wants a name and password", remedy)
    elif answer.status is None:
        yield unknown(PROXY, f"{used} ({source})")
    else:
        yield ok(PROXY, f"{used} ({source})")


def events_api(settings: Config, ask: Ask) -> Iterator[Finding]:
    """Whether the Events API is reached."""
    answer, url = ask(), settings.base_url
    if answer.status is None:
        remedy = _REMEDIES[answer.stage] if answer.stage != "proxy" else "See the line proxy."
        if "assign requested address" in answer.why:
            remedy = f"source_address = {settings.source_address} is no address of this host."
        yield failed(API, f"{url} cannot be reached: {answer.why}", remedy)
    elif answer.status in (407, 502, 503, 504):
        text = f"{url}: answered {answer.status}"
        yield failed(API, text, "PagerDuty, or a proxy, is in trouble. Events are kept meanwhile.")
    elif answer.why:
        yield failed(API, f"{url}: {answer.why}", _REMEDIES["answer"])
    else:
        yield ok(API, f"{url} answers, in {answer.seconds * 1000:.0f} ms")


def tls(settings: Config, ask: Ask, now: Callable[[], float]) -> Iterator[Finding]:
    """Whether the chain of certificates holds, and for how long."""
    if settings.base_url.startswith("http:"):
        return
    answer = ask()
    if answer.stage == "tls":
        yield failed(TLS, answer.why, _REMEDIES["tls"])
    elif answer.status is None:
        yield unknown(TLS, _NOT_ASKED)
    elif answer.certificate is None:
        yield ok(TLS, "the chain is verified")
    else:
        found = answer.certificate
        left = found.expires - now()
        text = f"{found.version}, the chain is verified and holds for {days(left)}"
        text += f" ({found.issuer})" if found.issuer else ""
        if left < TLS_SOON:
            remedy = "PagerDuty, or whoever opens TLS on the way, has to renew a certificate."
            yield warning(TLS, text, remedy)
        else:
            yield ok(TLS, text)


def ca_bundle(
    settings: Config, environment: Mapping[str, str], now: Callable[[], float]
) -> Iterator[Finding]:
    """The authorities that are trusted."""
    if settings.base_url.startswith("http:"):
        return
    try:
        path = ca_file(settings, environment)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=path)
    except NoTrust as error:
        yield failed(CA, str(error), _REMEDIES["trust"])
        return
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, path) from error
    except OSError as error:  # ssl.SSLError is one
        yield failed(CA, f"{path}: {error.strerror or error}", _REMEDIES["trust"])
        return
    until = [ssl.cert_time_to_seconds(str(ca["notAfter"])) for ca in context.get_ca_certs()]
    yield _judged(path, until, now())


def _judged(path: str, until: Sequence[float], now: float) -> Finding:
    good = [time for time in until if time > now]
    gone = len(until) - len(good)
    if not good:
        return failed(CA, f"{path} has no authority that is valid today", _REMEDIES["trust"])
    text = f"{path}: {several(len(good), 'authority', 'authorities')}"
    soon = [time for time in good if time < now + CA_SOON]
    if gone + len(soon) > CA_STALE * len(until):
        text += f", {gone} more have expired" if gone else ""
        text += f", {len(soon)} of them expire within {days(CA_SOON)}" if soon else ""
        return warning(CA, text, "Install current ca-certificates, or renew the ca_file.")
    return ok(CA, f"{text}, the first expires in {days(min(good) - now)}")


def clock(ask: Ask, now: Callable[[], float]) -> Iterator[Finding]:
    """This host's clock against the Events API's."""
    answer = ask()
    theirs = _date(answer)
    if theirs is None:
        yield unknown(CLOCK, _NOT_ASKED)
        return
    # Date has no fractions of a second
    skew = now() - theirs - 0.5
    text = f"{days(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the Events API's"
    remedy = "Set it, and keep it right: systemctl enable --now systemd-timesyncd, chronyd or ntpd."
    if abs(skew) >= SKEW_FAILED:
        yield failed(CLOCK, text, remedy)
    elif abs(skew) >= SKEW_WARNING:
        yield warning(CLOCK, text, remedy)
    else:
        yield ok(CLOCK, "agrees with the Events API's")


def _date(answer: Answer) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None

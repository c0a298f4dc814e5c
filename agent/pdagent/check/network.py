"""The network: names, the proxy, TLS, and the clock on the way to the Events API.

The daemon's own means put one question to the Events API, and most findings are drawn from its
answer. Besides that, only names are looked up and only the file of authorities is read.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime

from pdagent.check.certificates import terms
from pdagent.check.configuration import is_open_to_all, split
from pdagent.check.finding import Finding, days, failed, ok, several, unknown, warning
from pdagent.check.service import Environment
from pdagent.check.wayout import Ask
from pdagent.config import Config
from pdagent.wire.proxy import BadProxy, Way, way_to
from pdagent.wire.question import Answer
from pdagent.wire.trust import NoTrust, ca_file, why_not
from pdagent.wire.verdict import RELAY_ANSWERED, Delivered, Troubled

DNS, PROXY, API, TLS, CA, CLOCK = "DNS", "proxy", "events API", "TLS", "CA bundle", "clock"
SKEW_WARNING, SKEW_FAILED = 30.0, 600.0
TLS_SOON = 7 * 86_400.0
CA_SOON = 30 * 86_400.0
CA_STALE = 0.1  # the share of authorities that may have expired

_SETTING = "/etc/default/pdagent or /etc/sysconfig/pdagent"
_RESTART = "systemctl restart pdagent (or: service pdagent restart)"
_REMEDIES = {
    "trust": "Install ca-certificates, or set ca_file.",
    "name": "See /etc/resolv.conf; or set https_proxy, if the proxy is to look up names.",
    "tls": "Bring the authorities up to date: update-ca-certificates or update-ca-trust. If a "
    "gateway opens TLS here, add its authority there, or name a file with it in ca_file, which "
    "replaces the system's authorities. Then restart the service.",
    "connection": "Open the firewall for port 443, or name a proxy: see "
    "/usr/share/doc/pdagent/proxies.md.",
    "identity": "Let it name a file that the service can read, then reload the service.",
    "answer": "A proxy, a portal or a filter answers in PagerDuty's place: ask who runs it.",
}
KIND_REMEDY = "Name an address of the same kind, IPv4 or IPv6, or remove source_address."
_NOT_ASKED = "no answer of the Events API to learn it from"


def remedy_of(answer: Answer, settings: Config) -> str:
    """What a person does where PagerDuty did not answer the question."""
    if "assign requested address" in answer.why:
        return f"source_address = {settings.source_address} is no address of this host."
    if "source_address" in answer.why:
        return KIND_REMEDY
    if "events_token_file" in answer.why and answer.stage == "answer":
        return "Add this host's token to listen_tokens_file on the relay; then reload both services"
    if "events_client_cert" in answer.why and answer.stage != "identity":
        return "Renew the certificate in events_client_cert, then reload the service."
    if answer.why.startswith(RELAY_ANSWERED):
        return "Run pdagent check on the relay. Events are kept meanwhile."
    parts = split(settings.base_url)
    if answer.stage == "answer" and parts is not None and (path := parts.path):
        base = settings.shown_url.removesuffix(path)
        return f"Take the path off: events_url = {base}. Then reload the service."
    if " 407" in answer.why or " 401" in answer.why:
        return _password(settings)
    if answer.stage == "proxy":
        return _see_proxy(settings)
    if answer.stage == "trust":
        return _trust(settings, os.environ)
    if answer.stage == "tls" and "no TLS" in answer.why:
        place = "events_url" if settings.events_url else "the proxy, and whoever runs the network"
        return f"Who answers there does not speak TLS. See {place}."
    if answer.stage == "connection" and is_open_to_all(settings):
        return "Let events_url begin with https://, then restart the service."
    return _REMEDIES[answer.stage]


def _see_proxy(settings: Config) -> str:
    if settings.proxy_url:
        return "Correct proxy_url in the configuration, then reload the service."
    return f"See https_proxy in {_SETTING}; then: {_RESTART}"


def _password(settings: Config) -> str:
    way = "http://NAME:PASSWORD@…"
    if settings.proxy_url:
        return f"Give proxy_url the right name and password: {way}, then reload the service."
    return f"Give it the right name and password: {way} in {_SETTING}; then: {_RESTART}"


def _trust(settings: Config, environment: Mapping[str, str]) -> str:
    """What a person does where the file of authorities can't be used."""
    name = "ca_file" if settings.ca_file else "SSL_CERT_FILE"
    if settings.ca_file or environment.get("SSL_CERT_FILE"):
        text = f"Let {name} name a file with certificates in PEM form, or remove {name}."
        return f"{text} Then restart the service."
    return _REMEDIES["trust"]


def dns(settings: Config, resolve: Callable[..., list[object]] | None = None) -> Iterator[Finding]:
    """Whether the name that is connected to, the proxy's or PagerDuty's, has addresses."""
    proxy = _way(settings, os.environ)[0].proxy
    host = host_of(settings, os.environ)
    if not host:
        return  # the line region says that the address is none
    started = time.monotonic()
    try:
        found = (resolve or socket.getaddrinfo)(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it cannot be a host's name"
        yield failed(DNS, f"{host}: {why}", _REMEDIES["name"])
        return
    seconds = time.monotonic() - started
    text = f"{host} has {several(len(found), 'address', 'addresses')}"
    text += " (all other names are the proxy's to look up)" if proxy is not None else ""
    if seconds > 2:
        yield warning(
            DNS, f"{text}, after {seconds:.0f} s", "See /etc/resolv.conf: a server is down."
        )
    else:
        yield ok(DNS, text)


def host_of(settings: Config, environment: Mapping[str, str]) -> str:
    """The host that is connected to, the proxy's or PagerDuty's; "" if the address is none."""
    proxy = _way(settings, environment)[0].proxy
    parts = split(settings.base_url)
    return proxy.host if proxy is not None else (parts and parts.hostname) or ""


def _way(settings: Config, environment: Mapping[str, str]) -> tuple[Way, str]:
    """The way that the daemon takes, and what is wrong with the proxy that is set."""
    try:
        return way_to(settings.base_url, settings, environment), ""
    except BadProxy as error:
        return Way(), str(error)
    except ValueError:  # the line region says that the address is none
        return Way(), ""


def proxy(settings: Config, environment: Environment, ask: Ask) -> Iterator[Finding]:
    """Which proxy is on the way, and whether it lets us through."""
    way, wrong = _way(settings, os.environ)
    source = "proxy_url" if settings.proxy_url else environment.source
    for line in environment.odd:
        yield warning(PROXY, line, f"Correct it, then: {_RESTART}")
    if environment.stale and not settings.proxy_url:
        text = f"{environment.stale} was changed after the daemon was started"
        yield warning(PROXY, text, _RESTART)
    if wrong:
        yield failed(PROXY, f"{wrong} ({source})", _see_proxy(settings))
        return
    if way.ignored:
        yield warning(PROXY, f"{way.ignored} ({source})", _see_proxy(settings))
        return
    if way.proxy is None:
        if environment.hidden:
            text = (
                f"none in {environment.source}; the service's own, {environment.hidden}, is hidden"
            )
            yield unknown(PROXY, text, "Run it as root.")
        else:
            yield ok(PROXY, "none: the way is direct")
        return
    answer, used = ask(), way.proxy
    if answer.stage == "proxy":
        yield failed(PROXY, f"{used} ({source}): {answer.why}", remedy_of(answer, settings))
    elif answer.status == 407:
        yield failed(PROXY, f"{used} ({source}) wants a name and password", _password(settings))
    elif answer.status is None:
        yield unknown(PROXY, f"{used} ({source})")
    else:
        yield ok(PROXY, f"{used} ({source})")


def events_api(settings: Config, ask: Ask) -> Iterator[Finding]:
    """Whether the Events API is reached."""
    answer, url = ask(), settings.shown_url
    if answer.status is None:
        remedy = "See the line proxy." if answer.stage == "proxy" else remedy_of(answer, settings)
        yield failed(API, f"{url} cannot be reached: {answer.why}", remedy)
    elif answer.status == 407:
        yield failed(API, f"{url}: {answer.why}", "See the line proxy.")
    elif answer.why.startswith(RELAY_ANSWERED):
        yield failed(API, f"{url}: {answer.why}", remedy_of(answer, settings))
    elif isinstance(answer.verdict, Troubled):  # an event would fare as the question did
        remedy = "PagerDuty, or a proxy, is in trouble. Events are kept meanwhile."
        yield failed(API, f"{url}: {answer.verdict.why}", remedy)
    elif answer.why:
        yield failed(API, f"{url}: {answer.why}", remedy_of(answer, settings))
    elif isinstance(answer.verdict, Delivered):
        text = f"{url} takes an event that says nothing, as neither PagerDuty nor a relay does"
        remedy = (
            "See whether events_url is right, and whether an event that you send there arrives."
        )
        yield warning(API, text, remedy)
    else:
        yield ok(API, f"{url} answers, in {answer.seconds * 1000:.0f} ms")


def tls(settings: Config, ask: Ask, now: Callable[[], float]) -> Iterator[Finding]:
    """Whether the chain of certificates is valid, and for how long."""
    if settings.base_url.startswith("http:"):
        return
    answer = ask()
    if answer.stage == "tls":
        yield failed(TLS, answer.why, remedy_of(answer, settings))
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
    settings: Config,
    environment: Mapping[str, str],
    now: Callable[[], float],
    inside: bool = False,
) -> Iterator[Finding]:
    """Which authorities are trusted. `inside`: this process is as the service is."""
    # A ca_file is also for TLS to a proxy, another relay or the heartbeat, and the daemon wants it.
    if settings.base_url.startswith("http:") and not settings.ca_file:
        return
    try:
        path = ca_file(settings, environment)
        until = [ends for _, ends in terms(path)]
    except NoTrust as error:
        yield failed(CA, str(error), _REMEDIES["trust"])
        return
    except PermissionError as error:
        if inside:
            remedy = f"chmod a+r {path}, and the directories above it: chmod a+x"
            yield failed(CA, f"the service may not read {path}", remedy)
            return
        raise PermissionError(error.errno, error.strerror, path) from error
    except OSError as error:  # ssl.SSLError is one
        yield failed(CA, f"{path}: {why_not(error)}", _trust(settings, environment))
        return
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
    # If a few of them expire tomorrow, nobody has to do anything about it.
    return ok(CA, text)


def clock(ask: Ask, now: Callable[[], float]) -> Iterator[Finding]:
    """This host's clock against the Events API's."""
    answer = ask()
    theirs = _date(answer)
    if theirs is None:
        yield unknown(CLOCK, _NOT_ASKED)
        return
    # The header Date has whole seconds, so on average it is half a second old.
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
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None

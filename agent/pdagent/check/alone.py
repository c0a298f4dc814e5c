"""The configuration alone: what can be said of it, and of the files that it names, without a daemon
and without a network.

Root may be able to read what the service can't, so a process looks that is as the service is.
"""

import os
import ssl
import stat
import time
from collections.abc import Iterator
from itertools import chain

from pdagent import config
from pdagent.check.certificates import certificates
from pdagent.check.configuration import configuration, region
from pdagent.check.finding import Finding, Level, failed, unknown, warning
from pdagent.check.host import Host
from pdagent.check.inside import Inside, service
from pdagent.check.network import API, CA, KIND_REMEDY, ca_bundle, host_of, remedy_of
from pdagent.config import Config
from pdagent.serve.admission import Admission, NotSafe
from pdagent.serve.listen import are_one, is_local
from pdagent.settings import ANY_ADDRESS, CREDENTIALS, is_ip_address
from pdagent.wire.identity import NoIdentity, authorization, show
from pdagent.wire.question import Answer

ENDPOINT = "endpoint"
METRICS = "metrics"
_SECONDS = 10.0  # a file may be on a server that is away


def alone(path: str) -> list[Finding]:
    """What is wrong with the configuration in the file `path`; also what is good."""
    if os.geteuid() == 0:
        settings, _ = config.load(path)
        who = service(settings, Host())
        if who is not None:
            inside = Inside(who, lambda: _seen_by_service(path))
            if found := inside.findings(time.monotonic() + _SECONDS):
                return found
    return _seen(path)


def _seen_by_service(path: str) -> list[Finding]:
    if path != config.DEFAULT_PATH and not os.access(path, os.R_OK):
        return []  # somebody looks at it before it is put into its place
    return _seen(path, inside=True)


def _seen(path: str, inside: bool = False) -> list[Finding]:
    found = list(configuration(path, inside))
    settings, problems = config.load(path)
    if any(problem.fatal for problem in problems):
        return found  # all others would be about the defaults
    others = chain(
        region(settings),
        closed(settings, inside),
        _taken(settings),
        _nowhere(settings, inside),
        _of_another_kind(settings),
        _identity(settings, inside),
        _authorities(settings, inside),
        certificates(settings, time.time),
    )
    return found + [each for each in others if each.level is not Level.OK]


def closed(settings: Config, inside: bool = False) -> Iterator[Finding]:
    """What the service would keep closed, since it would not be safe to open. A service that runs
    says so itself. This is for a configuration that it has not read yet."""
    if settings.listen:
        try:
            Admission(settings, settings.listen)
        except NotSafe as error:
            cause = error.__cause__ and error.__cause__.__cause__  # where it is about a file
            remedy = "Correct it. Until then the local Events API stays closed."
            yield _unusable(ENDPOINT, str(error), cause, remedy, inside)
    address = settings.metrics_listen
    if address and not settings.metrics_remote and not is_local(address):
        text = f"metrics_listen = {address}: other hosts can reach it, so the metrics stay closed"
        yield failed(METRICS, text, "Set metrics_remote = on, or listen at 127.0.0.1.")


def _taken(settings: Config) -> Iterator[Finding]:
    listen, metrics = settings.listen, settings.metrics_listen
    if listen and metrics and are_one(listen, metrics):
        text = f"metrics_listen = {metrics}: nobody can listen there beside listen = {listen}"
        yield failed(METRICS, text, "Name another port, or another socket.")


def _nowhere(settings: Config, inside: bool) -> Iterator[Finding]:
    """Sockets, and the file of metrics, in a directory where the service can't make them."""
    for name in ("listen", "metrics_listen", "metrics_file"):
        place = str(getattr(settings, name))
        if place[:1] == "/" and (why := _why_not_in(os.path.dirname(place), settings, inside)):
            text = f"{name} = {place}: {why}"
            remedy = "Make the directory, and let user pdagent write into it; or name another."
            if name == "listen":
                yield failed(ENDPOINT, text, remedy)
            else:
                yield warning(METRICS, text, remedy)


def _why_not_in(directory: str, settings: Config, inside: bool) -> str:
    try:
        if not stat.S_ISDIR(os.stat(directory).st_mode):
            return f"{directory} is not a directory"
    except FileNotFoundError:
        run_dir = os.path.realpath(settings.run_dir)  # whoever starts the service makes it
        is_there = os.path.commonpath([run_dir, os.path.realpath(directory)]) == run_dir
        return "" if is_there else f"there is no directory {directory}"
    except OSError:
        return f"the service may not pass to {directory}" if inside else ""
    if inside and not os.access(directory, os.W_OK | os.X_OK):
        return f"the service may not write into {directory}"
    return ""


def _of_another_kind(settings: Config) -> Iterator[Finding]:
    """An address to connect from that is IPv6 where the other side is IPv4, or the other way round,
    as far as that can be seen without looking up names."""
    source = settings.source_address
    for relay in settings.relays:
        host = host_of(settings.toward(relay), {})
        if source == ANY_ADDRESS or not is_ip_address(host):
            continue
        if (":" in source) != (":" in host):
            text = f"source_address = {source} is of another kind than {host}: nothing is reached"
            yield failed(API, text, KIND_REMEDY)


def _identity(settings: Config, inside: bool) -> Iterator[Finding]:
    """What keeps this host from showing a relay who it is."""
    try:
        authorization(settings)
        if settings.base_url.startswith("https:"):
            show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings)
    except NoIdentity as error:
        remedy = remedy_of(Answer(stage="identity"), settings)
        yield _unusable(API, str(error), error.__cause__, remedy, inside)


def _authorities(settings: Config, inside: bool) -> Iterator[Finding]:
    file = settings.ca_file
    if file.startswith(CREDENTIALS) and not os.path.exists(file):
        yield unknown(CA, f"only the service can read {file}")
    elif file:
        try:
            yield from ca_bundle(settings, {}, time.time, inside)
        except PermissionError as error:
            yield _unusable(CA, str(error), error, "", inside)


def _unusable(
    subject: str, text: str, cause: BaseException | None, remedy: str, inside: bool
) -> Finding:
    """What to say of a file that could not be used, because of `cause`."""
    file = str(cause.filename or "") if isinstance(cause, OSError) else ""
    if isinstance(cause, PermissionError) and not inside:
        return unknown(subject, f"this user may not read {file}", "Run it as root.")
    if file.startswith(CREDENTIALS):
        return unknown(subject, f"only the service can read {file}")
    return failed(subject, text, remedy)

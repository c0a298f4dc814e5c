"""The configuration, and the place that it sends events to."""

import errno
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from urllib.parse import SplitResult, urlsplit

from pdagent import config
from pdagent.check.finding import Finding, failed, ok, several, unknown, warning
from pdagent.check.inside import USER
from pdagent.config import Config
from pdagent.lines import Problem, parse
from pdagent.settings import CREDENTIALS
from pdagent.wire import proxy

SUBJECT = "configuration"
REGION = "region"
REPAIR = "sudo pdagent check --repair"
# The settings that name files of keys, tokens, certificates and authorities.
_FILES = (
    "keys_file",
    "events_token_file",
    "events_client_cert",
    "events_client_key",
    "ca_file",
    "listen_tokens_file",
    "listen_cert",
    "listen_key",
    "listen_client_ca",
)
_NOBODY = 65_534
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def configuration(path: str, inside: bool = False) -> Iterator[Finding]:
    """What is wrong with the file and its pieces, and whether everybody may read a password in
    them. `inside`: this process is as the service is, so what it may not read is a failure."""
    if os.path.exists(path) and not os.access(path, os.R_OK):
        if inside:
            yield failed(SUBJECT, f"the service may not read {path}", REPAIR)
        else:
            text = f"this user may not read {path}; the other lines assume the defaults"
            yield unknown(SUBJECT, text, "Run it as root.")
        return
    settings, problems = config.load(path)
    good = True
    for finding in chain(
        _mistakes(problems, inside),
        _bad_proxy(path, settings),
        _bad_keys(settings, inside),
        _key_alone(settings),
        _changeable(path, settings),
        _exposed(path),
        _exposed_secrets(settings),
    ):
        good = False
        yield finding
    if good:
        yield ok(SUBJECT, _named(path))


def _mistakes(problems: Iterable[Problem], inside: bool) -> Iterator[Finding]:
    for problem in problems:
        if problem.fatal and not problem.for_senders:  # a piece that is for the agent's group
            if inside:
                yield failed(SUBJECT, problem.text, REPAIR)
            else:
                yield unknown(SUBJECT, problem.text, "Run it as root.")
        elif problem.fatal:
            remedy = "Correct it. With this mistake pdagentd neither starts nor reloads."
            if os.strerror(errno.EACCES) in problem.text:
                remedy = REPAIR
            yield failed(SUBJECT, problem.text, remedy)
        else:
            yield warning(SUBJECT, problem.text, "Correct or remove that line.")


def _bad_proxy(path: str, settings: Config) -> Iterator[Finding]:
    try:
        if settings.proxy_url:
            proxy.parse(settings.proxy_url, "proxy_url")
    except proxy.BadProxy as error:
        yield failed(SUBJECT, f"{path}: {error}", "Correct it, then reload the service.")


def _bad_keys(settings: Config, inside: bool) -> Iterator[Finding]:
    """What is wrong with the keys_file."""
    file = settings.keys_file
    if file.startswith(CREDENTIALS) and not os.path.isdir(CREDENTIALS):
        yield unknown(SUBJECT, f"only the service can read {file}, once it runs")
        return
    denied = _is_denied(file)
    if denied and not inside:
        return  # others are not meant to read it
    for problem in config.load_keys(settings):
        remedy = f"{REPAIR if denied else 'Correct it'}, then reload the service"
        if file.startswith(CREDENTIALS):
            remedy = credential(file)
        yield failed(SUBJECT, problem.text, remedy)


def _key_alone(settings: Config) -> Iterator[Finding]:
    if settings.events_client_key and not settings.events_client_cert:
        text = "events_client_key is set without a certificate, so no relay is shown one"
        yield warning(SUBJECT, text, "Set events_client_cert, or remove events_client_key.")


def _is_denied(file: str) -> bool:
    try:
        os.stat(file)
    except OSError as error:
        return isinstance(error, PermissionError)
    return not os.access(file, os.R_OK)


def credential(path: str) -> str:
    """What makes systemd hand a credential to the service."""
    name = os.path.basename(path)
    return (
        f"Put it into /etc/credstore/{name}. Before systemd 254, the unit needs "
        f"LoadCredential={name}:/etc/credstore/{name}; before 247, name a file instead. Then "
        "restart the service."
    )


def piece(path: str) -> Iterator[Finding]:
    """What is wrong with a file that is to become a piece of the configuration."""
    problems = config.load_piece(path)
    for problem in problems:
        level = failed if problem.fatal else warning
        yield level(SUBJECT, problem.text, "Correct it, then put the file in its place.")
    if not problems:
        yield ok(SUBJECT, path)


def _named(path: str) -> str:
    pieces = len(files(path)) - 1
    return f"{path}, and {several(pieces, 'file', 'files')} in {path}.d" if pieces else path


def files(path: str) -> list[str]:
    """The file and its pieces, as far as this process may know of them."""
    try:
        return config.files(path)
    except OSError:  # which was said
        return [path]


def _changeable(path: str, settings: Config) -> Iterator[Finding]:
    """The files and the directory that other users can change. Root, the agent and whoever asks
    may."""
    # The owner of what is mounted into a container is often none of its users, or _NOBODY.
    trusted = {0, _NOBODY, os.geteuid(), *_uid_of_agent()}
    named = [str(getattr(settings, name)) for name in _FILES]
    for file in dict.fromkeys([*files(path), path + ".d", *named]):
        try:
            found = os.stat(file)
        except OSError:
            continue  # whoever needs it says so
        # Kubernetes mounts directories with the sticky bit like this, and read-only.
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            text = f"every user can write to {file}, and so change what the agent does"
            yield warning(SUBJECT, text, f"chmod o-w {file}")
        elif found.st_uid not in trusted and (owner := _name(found.st_uid)):
            text = f"user {owner} owns {file}, and so can change what the agent does"
            yield warning(SUBJECT, text, f"chown root {file}")


def _uid_of_agent() -> list[int]:
    try:
        return [pwd.getpwnam(USER).pw_uid]
    except KeyError:
        return []


def _name(uid: int) -> str:
    """The user's name, "" if there is no such user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _exposed(path: str) -> Iterator[Finding]:
    """Files with a password that every user can read."""
    for file in files(path):
        try:
            mode = os.stat(file).st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & stat.S_IROTH and _has_password(file):
            text = f"{file} holds a password, and every user can read it"
            yield warning(SUBJECT, text, f"chgrp pdagent {file}; chmod 640 {file}")


def _exposed_secrets(settings: Config) -> Iterator[Finding]:
    """What a relay knows this host by, where every user can read it."""
    for file in (settings.events_token_file, settings.events_client_key):
        try:
            is_open = file and os.stat(file).st_mode & stat.S_IROTH
        except OSError:
            continue  # whoever needs it says so
        if is_open:
            text = f"every user can read {file}, and send in this host's name"
            yield warning(SUBJECT, text, f"chgrp pdagent {file}; chmod 640 {file}")


def _has_password(file: str) -> bool:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            values, _ = parse(opened.read(config.FILE_BYTES), file)
    except OSError:
        return False
    return any("@" in str(values.get(name, "")) for name in ("proxy_url", "events_url"))


def split(url: str) -> SplitResult | None:
    """The parts of an address; None if it is no address. Python's own error could quote a
    password."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # UnicodeError is a ValueError
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def is_open_to_all(settings: Config) -> bool:
    """Whether integration keys are sent without encryption, beyond this host."""
    parts = split(settings.base_url)
    return parts is not None and parts.scheme == "http" and parts.hostname not in _LOOPBACK


def region(settings: Config) -> Iterator[Finding]:
    """Which PagerDuty events go to."""
    url = settings.shown_url
    parts = split(settings.base_url)
    if parts is None:
        yield failed(REGION, f"{url} is not an address that can be used", "Correct events_url.")
    elif is_open_to_all(settings):
        text = f"integration keys go to {url} without encryption"
        yield warning(REGION, text, "Let events_url begin with https://.")
    elif settings.events_url and settings.service_region != "us":
        text = f"{url} (events_url), not the region {settings.service_region}"
        yield warning(REGION, text, "Remove events_url or service_region: the first of them wins.")
    elif settings.events_url:
        yield ok(REGION, f"{url} (events_url)")
    else:
        yield ok(REGION, f"{settings.service_region}: {url}")

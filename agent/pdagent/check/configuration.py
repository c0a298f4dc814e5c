"""The configuration, and where it says that events go."""

import os
import stat
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from pdagent import config
from pdagent.check.finding import Finding, failed, ok, unknown, warning
from pdagent.config import Config
from pdagent.wire import proxy

SUBJECT = "configuration"
REGION = "region"
REPAIR = "sudo pdagent check --repair"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def configuration(path: str, inside: bool = False) -> Iterator[Finding]:
    """What is wrong with the file, and who else may read a password in it. `inside`: this process
    is what the service is, so what it may not read is a failure."""
    if os.path.exists(path) and not os.access(path, os.R_OK):
        if inside:
            yield failed(SUBJECT, f"the service may not read {path}", REPAIR)
        else:
            text = f"this user may not read {path}; what follows goes by defaults"
            yield unknown(SUBJECT, text, "Run it as root.")
        return
    settings, problems = config.load(path)
    good = True
    for problem in problems:
        good = False
        if problem.fatal:
            remedy = "Correct it. With this mistake pdagentd neither starts nor reloads."
            yield failed(SUBJECT, problem.text, remedy)
        else:
            yield warning(SUBJECT, problem.text, "Correct or remove that line.")
    try:
        if settings.proxy_url:
            proxy.parse(settings.proxy_url, "proxy_url")
    except proxy.BadProxy as error:
        good = False
        yield failed(SUBJECT, f"{path}: {error}", "Correct it, then reload the service.")
    if inside:  # others are not meant to read it
        for problem in config.load_keys(settings):
            good = False
            denied = os.path.exists(settings.keys_file) and not os.access(
                settings.keys_file, os.R_OK
            )
            remedy = REPAIR if denied else "Correct it"
            yield failed(SUBJECT, problem.text, f"{remedy}, then reload the service")
    if "@" in settings.proxy_url + settings.events_url and _is_open(path):
        text = f"{path} holds a password, and every user can read it"
        yield warning(SUBJECT, text, f"chgrp pdagent {path}; chmod 640 {path}")
    elif good:
        yield ok(SUBJECT, path)


def _is_open(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def split(url: str) -> SplitResult | None:
    """None: it is no address. Python says why in words that could quote a password."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def is_open_to_all(settings: Config) -> bool:
    """Whether whoever is on the way can read what is sent."""
    parts = split(settings.base_url)
    return parts is not None and parts.scheme == "http" and parts.hostname not in _LOOPBACK


def region(settings: Config) -> Iterator[Finding]:
    """Which PagerDuty it is."""
    url = settings.shown_url
    parts = split(settings.base_url)
    if parts is None:
        yield failed(REGION, f"{url} is no address that can be used", "Correct events_url.")
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

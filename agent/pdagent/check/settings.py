"""The configuration, and where it says that events go."""

import os
import stat
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from pdagent.check.finding import Finding, failed, ok, unknown, warning
from pdagent.config import Config, Problem

SUBJECT = "configuration"
REGION = "region"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def configuration(path: str, settings: Config, problems: Sequence[Problem]) -> Iterator[Finding]:
    """What `load` found wrong with the file, and who else may read a password in it."""
    if os.path.exists(path) and not os.access(path, os.R_OK):
        text = f"this user may not read {path}; what follows goes by defaults"
        yield unknown(SUBJECT, text, "Run it as root.")
        return
    for problem in problems:
        if problem.fatal:
            remedy = "Put it right: pdagentd does not start, or reload, with it."
            yield failed(SUBJECT, problem.text, remedy)
        else:
            yield warning(SUBJECT, problem.text, "Remove it, or correct its spelling.")
    if "@" in settings.proxy_url and _is_open(path):
        text = f"{path} holds the proxy's password, and every user can read it"
        yield warning(SUBJECT, text, f"chgrp pdagent {path}; chmod 640 {path}")
    elif not problems:
        yield ok(SUBJECT, path)


def _is_open(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def region(settings: Config) -> Iterator[Finding]:
    """Which PagerDuty it is."""
    url = settings.base_url
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        text = f"integration keys go to {url} without encryption"
        yield warning(REGION, text, "Let events_url begin with https://.")
    elif settings.events_url and settings.service_region != "us":
        text = f"{url} (events_url), not the region {settings.service_region}"
        yield warning(REGION, text, "Remove events_url or service_region: the first of them wins.")
    elif settings.events_url:
        yield ok(REGION, f"{url} (events_url)")
    else:
        yield ok(REGION, f"{settings.service_region}: {url}")

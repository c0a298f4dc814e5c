"""The package that the agent came in, and the keys that its next version will be checked with."""

import os
from collections.abc import Iterator

from pdagent import __version__
from pdagent.check import openpgp
from pdagent.check.finding import Finding, days, failed, ok, unknown, warning
from pdagent.check.host import Host

PACKAGE = "package"
KEY = "repository key"
KEYRINGS = (
    "/usr/share/keyrings/pdagent-archive-keyring.gpg",
    "/etc/pki/rpm-gpg/RPM-GPG-KEY-pagerduty",
)
SOON = 30 * 86_400.0
_FETCH = "Fetch the key again, and install pdagent-archive-keyring: docs/install.md."


def package(host: Host) -> Iterator[Finding]:
    """Which package it is, how old, and whether its installation came to its end."""
    if host.exists("/var/lib/dpkg/info/pdagent.list"):
        said = host.ask(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", "pdagent"])
        status, _, version = (said or "").partition(" ")
        if status and status != "ii":
            yield failed(PACKAGE, f"half installed (dpkg: {status})", "dpkg --configure -a")
            return
        installed = os.stat(host.path("/var/lib/dpkg/info/pdagent.list")).st_mtime
        kind = "deb"
    else:
        said = host.ask(["rpm", "-q", "--qf", "%{VERSION}-%{RELEASE} %{INSTALLTIME}", "pdagent"])
        version, _, when = (said or "").partition(" ")
        if not when.isdecimal():
            yield ok(PACKAGE, f"pdagent {__version__}, not from a package")
            return
        installed = float(when)
        kind = "rpm"
    version = version.strip()
    age = days(max(0.0, host.now() - installed))
    if version.partition("-")[0] != __version__:
        text = f"the package is {version}, but this is {__version__}"
        yield warning(PACKAGE, text, "See which pdagent your PATH finds, and remove the other.")
    else:
        yield ok(PACKAGE, f"pdagent {version} ({kind}), installed {age} ago")


def repository_key(host: Host) -> Iterator[Finding]:
    """The keys that the package manager has for the repository."""
    present = [path for path in KEYRINGS if host.exists(path)]
    if not present:
        yield unknown(KEY, "no key of PagerDuty's repository here", "See docs/install.md.")
    for path in present:
        try:
            with open(host.path(path), "rb") as file:
                found = openpgp.keys(file.read(1_048_576))
        except ValueError as error:
            yield failed(KEY, f"{path}: {error}", _FETCH)
            continue
        yield _judged(path, found, host.now())


def _judged(path: str, found: list[openpgp.Key], now: float) -> Finding:
    made = max(key.made for key in found)
    age = f"made {days(max(0.0, now - made))} ago"
    if any(key.expires is None for key in found):
        return ok(KEY, f"{age}, does not expire")
    left = max(key.expires or 0 for key in found) - now
    if left < 0:
        return failed(KEY, f"{path} expired {days(-left)} ago", _FETCH)
    if left < SOON:
        return warning(KEY, f"{path} expires in {days(left)}", _FETCH)
    return ok(KEY, f"{age}, expires in {days(left)}")

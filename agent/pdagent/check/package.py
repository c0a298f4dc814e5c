"""The package that the agent came in, and the key that the package manager will check the next
version with."""

import os
from collections.abc import Iterator
from datetime import datetime

from pdagent import __version__
from pdagent.check.finding import Finding, days, failed, ok, unknown, warning
from pdagent.check.host import Host

PACKAGE = "package"
KEY = "repository key"
# packaging/repo/keyring.sh writes this file. It holds a date, or "never".
EXPIRY = "/usr/share/pdagent-archive-keyring/expires"
SOON = 30 * 86_400.0
_INSTALL = "Install pdagent-archive-keyring: its upgrades bring new keys in time."
_FETCH = (
    "Fetch the key again, and install pdagent-archive-keyring: see "
    "/usr/share/doc/pdagent/install.md."
)


def package(host: Host) -> Iterator[Finding]:
    """Which package is installed, since when, and whether its installation was completed."""
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
    """When the key of the repository expires.

    The package pdagent-archive-keyring brings that date along. With a key that was fetched by hand
    there is no such file.
    """
    try:
        with open(host.path(EXPIRY), encoding="ascii") as file:
            said = file.read(100).strip()
    except FileNotFoundError:
        yield unknown(KEY, f"its expiry is not known: there is no {EXPIRY}", _INSTALL)
        return
    if said == "never":
        yield ok(KEY, "does not expire")
        return
    try:
        left = datetime.fromisoformat(said).timestamp() - host.now()
    except ValueError:
        yield failed(KEY, f"{EXPIRY} does not hold a date", _FETCH)
        return
    if left < 0:
        yield failed(KEY, f"the key expired {days(-left)} ago", _FETCH)
    elif left < SOON:
        yield warning(KEY, f"the key expires in {days(left)}", _FETCH)
    else:
        yield ok(KEY, f"expires in {days(left)}")

"""The catalogue: all checks, in the order in which a person wants to read them, and how they are
run: all at once, each for a bounded time, so that none can spoil another."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pdagent import threads
from pdagent.check import (
    certificates,
    configuration,
    directories,
    expectations,
    network,
    package,
    record,
    told,
    trial,
    wayout,
)
from pdagent.check import service as unit
from pdagent.check.finding import Finding, failed, unknown
from pdagent.check.host import Host
from pdagent.check.inside import Inside, Service
from pdagent.check.service import Environment
from pdagent.config import Config

SECONDS = 25.0  # more than connecting and waiting for an answer may take together

_BUG = "Please report this: it is a bug."

Look = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """What to look at, and how. With `inside`, a process looks that sees what the service sees."""

    subject: str
    look: Look
    inside: bool = False


def catalogue(
    path: str,
    settings: Config,
    environment: Environment,
    host: Host,
    service: Service | None,
    key: str | None = None,
) -> list[Check]:
    """All checks. `key` is the integration key to send a test event with; None: send none.
    `service` is who the service is, None if nobody knows. The caller has applied the environment to
    this process."""
    ways = [wayout.Way(settings.toward(relay)) for relay in settings.relays]
    ask = wayout.best(ways)

    def along(subject: str, look: Callable[[Config, wayout.Ask], Iterable[Finding]]) -> Check:
        """A check of each way out. What is the same on several is said once."""

        def looked() -> Iterable[Finding]:
            for way in ways[1:]:  # all at once: one that hangs costs as much time as ten
                threads.start(way.ask, "Way")
            return dict.fromkeys(each for way in ways for each in look(way.settings, way.ask))

        return Check(subject, looked, inside=subject != configuration.REGION)

    inside = service is not None and os.geteuid() == 0
    checks = [
        Check(
            configuration.SUBJECT, lambda: configuration.configuration(path, inside), inside=True
        ),
        Check(directories.DIRECTORIES, lambda: directories.directories(settings, service)),
        Check(directories.DISK, lambda: directories.disk(settings)),
        Check(unit.SUBJECT, lambda: unit.daemon(settings, host)),
        Check(unit.BOOT, lambda: unit.boot(host)),
        Check(told.SUBJECT, lambda: told.delivery(path, settings, host, ask), inside=True),
        Check(record.QUEUE, lambda: record.queue(settings, host)),
        Check(expectations.SUBJECT, lambda: expectations.expectations(settings, host)),
        Check(record.RATE, lambda: record.rate_limits(settings, host)),
        along(configuration.REGION, lambda settings, _: configuration.region(settings)),
        along(network.DNS, lambda settings, _: network.dns(settings)),
        along(network.PROXY, lambda settings, ask: network.proxy(settings, environment, ask)),
        along(network.API, network.events_api),
        along(network.TLS, lambda settings, ask: network.tls(settings, ask, host.now)),
        Check(
            network.CA,
            lambda: network.ca_bundle(settings, os.environ, host.now, inside),
            inside=True,
        ),
        Check(
            certificates.SUBJECT,
            lambda: certificates.certificates(settings, host.now),
            inside=True,
        ),
        Check(network.CLOCK, lambda: network.clock(ask, host.now), inside=True),
        Check(package.PACKAGE, lambda: package.package(host)),
        Check(package.KEY, lambda: package.repository_key(host)),
    ]
    if key is not None:
        checks.append(Check(trial.SUBJECT, lambda: trial.trial(settings, host, key)))
    return checks


@dataclass(slots=True)
class _Running:
    check: Check
    findings: list[Finding] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        subject = self.check.subject
        try:
            for finding in self.check.look():
                self.findings.append(finding)
        except PermissionError as error:
            self.findings.append(
                unknown(subject, f"this user may not look at {error.filename}", "Run it as root.")
            )
        except Exception as error:  # a check that fails is a finding, like any other
            text = f"could not be checked: {type(error).__name__}: {error}"
            self.findings.append(failed(subject, text, _BUG))
        finally:
            self.done.set()


def run(
    checks: Sequence[Check], seconds: float = SECONDS, service: Service | None = None
) -> list[Finding]:
    """What the checks found, in their order, after `seconds` at most. Root hands in `service`: what
    a process has to become to see what the service sees."""
    apart = [check for check in checks if check.inside] if service is not None else []
    # This comes first, since a process with threads must not fork.
    inside = Inside(service, lambda: _all(apart, seconds - 1)) if service and apart else None
    found = _all([check for check in checks if check not in apart], seconds)
    if inside is not None:
        theirs = inside.findings(time.monotonic() + seconds)
        if theirs is None:
            text = "the process that was to look as the service does gave no answer"
            theirs = [failed(check.subject, text, _BUG) for check in apart]
        found += theirs
    places = {check.subject: place for place, check in enumerate(checks)}
    return sorted(found, key=lambda finding: places[finding.subject])  # the sort is stable


def _all(checks: Sequence[Check], seconds: float) -> list[Finding]:
    running = [_Running(check) for check in checks]
    for each in running:
        # A check that hangs, as in a name service, must not keep the others from being shown.
        # Where the system has no threads to give, the checks run one after the other.
        if threads.start(each.run, each.check.subject) is None:
            each.run()
    deadline = time.monotonic() + seconds
    findings = []
    for each in running:
        in_time = each.done.wait(max(0.0, deadline - time.monotonic()))
        findings += list(each.findings)
        if not in_time:
            text = f"no answer within {seconds:.0f} s"
            remedy = "See what makes this host so slow, and look again."
            findings.append(failed(each.check.subject, text, remedy))
    return findings

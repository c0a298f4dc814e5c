"""All checks, in the order in which a person wants to read them."""

import os
from collections.abc import Callable, Iterable

from pdagent import threads
from pdagent.check import (
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
from pdagent.check.finding import Finding
from pdagent.check.host import Host
from pdagent.check.inside import Service
from pdagent.check.run import Check
from pdagent.check.service import Environment
from pdagent.config import Config


def catalogue(
    path: str,
    config: Config,
    environment: Environment,
    host: Host,
    service: Service | None,
    key: str | None = None,
) -> list[Check]:
    """What to look at; `key` is the one to send a test event with, None: send nothing. `service`:
    whom this process can look like. The environment has been applied to this process."""
    ways = [wayout.Way(config.toward(relay)) for relay in config.relays]
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
        Check(directories.DIRECTORIES, lambda: directories.directories(config, service)),
        Check(directories.DISK, lambda: directories.disk(config)),
        Check(unit.SUBJECT, lambda: unit.daemon(config, host)),
        Check(unit.BOOT, lambda: unit.boot(host)),
        Check(told.SUBJECT, lambda: told.delivery(path, config, host, ask), inside=True),
        Check(record.QUEUE, lambda: record.queue(config, host)),
        Check(expectations.SUBJECT, lambda: expectations.expectations(config, host)),
        Check(record.RATE, lambda: record.rate_limits(config, host)),
        along(configuration.REGION, lambda settings, _: configuration.region(settings)),
        along(network.DNS, lambda settings, _: network.dns(settings)),
        along(network.PROXY, lambda settings, ask: network.proxy(settings, environment, ask)),
        along(network.API, network.events_api),
        along(network.TLS, lambda settings, ask: network.tls(settings, ask, host.now)),
        Check(
            network.CA, lambda: network.ca_bundle(config, os.environ, host.now, inside), inside=True
        ),
        Check(network.CLOCK, lambda: network.clock(ask, host.now), inside=True),
        Check(package.PACKAGE, lambda: package.package(host)),
        Check(package.KEY, lambda: package.repository_key(host)),
    ]
    if key is not None:
        checks.append(Check(trial.SUBJECT, lambda: trial.trial(config, host, key)))
    return checks

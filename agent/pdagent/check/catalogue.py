"""All checks, in the order in which a person wants to read them."""

import os
from collections.abc import Sequence

from pdagent.check import directories, network, package, record, service, settings, trial, wayout
from pdagent.check.host import Host
from pdagent.check.run import Check
from pdagent.check.service import Environment
from pdagent.config import Config, Problem


def catalogue(
    path: str,
    config: Config,
    problems: Sequence[Problem],
    environment: Environment,
    host: Host,
    key: str | None = None,
) -> list[Check]:
    """What to look at; `key` is the one to send a test event with, None: send nothing. The
    environment has been applied to this process."""
    ask = wayout.once(lambda: wayout.ask(config))
    checks = [
        Check(settings.SUBJECT, lambda: settings.configuration(path, config, problems)),
        Check(directories.DIRECTORIES, lambda: directories.directories(config)),
        Check(directories.DISK, lambda: directories.disk(config)),
        Check(service.SUBJECT, lambda: service.daemon(config, host)),
        Check(service.BOOT, lambda: service.boot(host)),
        Check(record.QUEUE, lambda: record.queue(config, host)),
        Check(record.RATE, lambda: record.rate_limits(config, host)),
        Check(settings.REGION, lambda: settings.region(config)),
        Check(network.DNS, lambda: network.dns(config)),
        Check(network.PROXY, lambda: network.proxy(config, environment, ask)),
        Check(network.API, lambda: network.events_api(config, ask)),
        Check(network.TLS, lambda: network.tls(config, ask, host.now)),
        Check(network.CA, lambda: network.ca_bundle(config, os.environ, host.now)),
        Check(network.CLOCK, lambda: network.clock(ask, host.now)),
        Check(package.PACKAGE, lambda: package.package(host)),
        Check(package.KEY, lambda: package.repository_key(host)),
    ]
    if key is not None:
        checks.append(Check(trial.SUBJECT, lambda: trial.trial(config, host, key)))
    return checks

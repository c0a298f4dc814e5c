"""What all tests need that need hosts: fixtures and hooks, a plug-in for several directories."""

import sys
from collections.abc import Callable, Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.hosts import repository
from tests.hosts.engine import Engine, Spec
from tests.hosts.host import Host
from tests.hosts.table import PROPERTY, Table, describe
from tests.support.events_api import EventsApi

# What hosts know this machine as.
NAMES = [repository.NAME, "events.test", "proxy.test"]

# Hosts that `make test` has a few tests on; all of them run with --long, at night.
BRIEF = {"rpm-forky"}

Note = Callable[[str, object], None]


def plug_in(config: pytest.Config) -> None:
    """For the conftest.py of every directory whose tests need hosts."""
    if not config.pluginmanager.has_plugin(__name__):
        config.pluginmanager.register(sys.modules[__name__], __name__)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(what, ...): only for hosts of this name, family, init")
    config.addinivalue_line("markers", "latest: only for the last host of each family and init")
    config.addinivalue_line("markers", "brief: also for hosts that have a few tests only")
    config.pluginmanager.register(Table(), "hosts-table")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """A host's tests stay on one worker, which sets it up once."""

    class ByHost(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("[")[2]

    return ByHost(config, log)


def parametrize(metafunc: pytest.Metafunc, specs: list[Spec]) -> None:
    """Every test on every host that it is for; a worker keeps to its hosts."""
    if "spec" not in metafunc.fixturenames:
        return
    only = [set(mark.args) for mark in metafunc.definition.iter_markers("only")]
    fitting = [spec for spec in specs if all(spec.kinds & kinds for kinds in only)]
    if metafunc.definition.get_closest_marker("latest"):
        fitting = list({(spec.family, spec.init): spec for spec in fitting}.values())
    if not (metafunc.config.getoption("--long") or metafunc.definition.get_closest_marker("brief")):
        fitting = [spec for spec in fitting if spec.name not in BRIEF]
    metafunc.parametrize("spec", fitting, ids=lambda spec: spec.name, scope="session")


@pytest.fixture(scope="session")
def engine(worker_id: str) -> Iterator[Engine]:
    engine = Engine(worker_id)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def packages_url() -> Iterator[str]:
    """Where hosts find the repositories: `current`, `next`, and those that no host should trust."""
    with repository.served() as url:
        yield url


@pytest.fixture(scope="session")
def running_api() -> Iterator[EventsApi]:
    with EventsApi(bind="0.0.0.0") as api:
        yield api


@pytest.fixture
def api(running_api: EventsApi) -> EventsApi:
    """The local Events API, outside the hosts, with nothing in it."""
    running_api.start()
    running_api.reset()
    return running_api


described: dict[Spec, str] = {}


def say_what_it_is(host: Host, note: Note) -> None:
    """Its name for the table, asked once."""
    if host.spec not in described:
        described[host.spec] = describe(host)
    note(PROPERTY, described[host.spec])


def install_agent(host: Host, packages_url: str, api: EventsApi) -> None:
    """The guide's steps, and the agent pointed at the local Events API."""
    host.packages.add_repository(f"{packages_url}/current/pdagent")
    host.packages.install()
    host.follow_guide()
    host.configure(events_url=f"http://events.test:{api.port}")
    host.service.restart()

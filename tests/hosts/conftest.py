"""Hosts for tests: `bare` has no agent, `host` has both packages installed as the guide has it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.hosts import repository
from tests.hosts.engine import Engine, Spec, specs
from tests.hosts.host import Host
from tests.hosts.proxy import Proxy
from tests.hosts.table import PROPERTY, Table, describe
from tests.support.events_api import EventsApi

if not specs():  # then nobody made hosts ready
    collect_ignore_glob = ["test_*.py"]

# What hosts know this machine as.
NAMES = [repository.NAME, "events.test", "proxy.test"]

Note = Callable[[str, object], None]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(what, ...): only for hosts of this family or init")
    config.pluginmanager.register(Table(), "hosts-table")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test on every host that it is for; a worker keeps to its hosts."""
    if "spec" not in metafunc.fixturenames:
        return
    only = [set(mark.args) for mark in metafunc.definition.iter_markers("only")]
    fitting = [spec for spec in specs() if all({spec.family, spec.init} & kinds for kinds in only)]
    metafunc.parametrize("spec", fitting, ids=lambda spec: spec.name, scope="session")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """A host's tests stay on one worker, which sets it up once."""

    class ByHost(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("[")[2]

    return ByHost(config, log)


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


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """Proxies on this machine, made as wanted."""
    running: list[Proxy] = []

    def start(user: str = "", password: str = "") -> Proxy:
        running.append(Proxy(user, password))
        return running[-1]

    yield start
    for each in running:
        each.close()


described: dict[Spec, str] = {}


@contextmanager
def booted(engine: Engine, spec: Spec, image: str, note: Note) -> Iterator[Host]:
    host = Host(engine, spec, image, NAMES)
    try:
        if spec not in described:
            described[spec] = describe(host)
        note(PROPERTY, described[spec])
        yield host
    finally:
        host.remove()


@pytest.fixture
def bare(engine: Engine, spec: Spec, record_property: Note) -> Iterator[Host]:
    """A host that has never seen the agent."""
    with booted(engine, spec, spec.image, record_property) as host:
        yield host


@pytest.fixture(scope="session")
def installed(engine: Engine, spec: Spec, packages_url: str, running_api: EventsApi) -> str:
    """An image of the host after the guide's steps, its agent pointed at the local Events API."""
    host = Host(engine, spec, spec.image, NAMES)
    try:
        host.sh("useradd -m alice; useradd -m mallory")
        host.packages.add_repository(f"{packages_url}/current/pdagent")
        host.packages.install()
        host.follow_guide()
        host.configure(events_url=f"http://events.test:{running_api.port}")
        host.service.restart()
        return engine.commit(host.container, f"localhost/{engine.label}-{spec.name}")
    finally:
        host.remove()


@pytest.fixture
def host(engine: Engine, spec: Spec, installed: str, record_property: Note) -> Iterator[Host]:
    """A host that the agent was installed on, booted since."""
    with booted(engine, spec, installed, record_property) as host:
        yield host

"""Hosts for tests: `bare` has no agent, `host` has both packages installed as the guide has it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.hosts.engine import Engine, Spec, specs
from tests.hosts.fixtures import NAMES, Note, install_agent, parametrize, plug_in, say_what_it_is
from tests.hosts.fixtures import api as api  # in the place of tests/conftest.py's
from tests.hosts.host import Host
from tests.hosts.proxy import Proxy
from tests.support.events_api import EventsApi

HOSTS = specs("PDAGENT_HOSTS")
if not HOSTS:  # then nobody made hosts ready
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    plug_in(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize(metafunc, HOSTS)


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


@contextmanager
def booted(engine: Engine, spec: Spec, image: str, note: Note) -> Iterator[Host]:
    host = Host(engine, spec, image, NAMES)
    try:
        say_what_it_is(host, note)
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
    """An image of the host after the guide's steps."""
    host = Host(engine, spec, spec.image, NAMES)
    try:
        host.sh("useradd -m alice; useradd -m mallory")
        install_agent(host, packages_url, running_api)
        return engine.commit(host.container, f"localhost/{engine.label}-{spec.name}")
    finally:
        host.remove()


@pytest.fixture
def host(engine: Engine, spec: Spec, installed: str, record_property: Note) -> Iterator[Host]:
    """A host that the agent was installed on, booted since."""
    with booted(engine, spec, installed, record_property) as host:
        yield host

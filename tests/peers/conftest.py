"""Monitoring servers for tests, each on a host with the agent, for all tests of a run."""

from collections.abc import Generator, Iterator

import pytest

from tests.hosts.engine import Engine, Spec, specs
from tests.hosts.fixtures import NAMES, Note, install_agent, parametrize, plug_in, say_what_it_is
from tests.hosts.fixtures import api as api  # in the place of tests/conftest.py's
from tests.hosts.host import Host
from tests.peers.icinga import Icinga
from tests.peers.nagios import Nagios
from tests.peers.server import Server
from tests.peers.zabbix import Zabbix
from tests.support.events_api import EventsApi

PEERS = specs("PDAGENT_PEERS")
TESTS = {
    "test_nagios.py": {"nagios", "icinga"},
    "test_zabbix.py": {"zabbix"},
    "test_hardening.py": {"hardened"},
}
# only for those that somebody made ready
collect_ignore = [
    file for file, names in TESTS.items() if not names & {peer.name for peer in PEERS}
]

SERVERS: dict[str, type[Server]] = {"nagios": Nagios, "icinga": Icinga, "zabbix": Zabbix}


def pytest_configure(config: pytest.Config) -> None:
    plug_in(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize(metafunc, PEERS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the server and the agent have to say is part of a failure."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append((server.version, server.log()))
    return report


@pytest.fixture(scope="session")
def running(
    engine: Engine, spec: Spec, packages_url: str, running_api: EventsApi
) -> Iterator[Server]:
    host = Host(engine, spec, spec.image, NAMES)
    try:
        server = SERVERS[spec.name](host)
        install_agent(host, packages_url, running_api)
        try:
            server.set_up()
        except Exception as error:
            error.add_note(server.log())
            raise
        yield server
    finally:
        host.remove()


@pytest.fixture
def server(running: Server, api: EventsApi, record_property: Note) -> Server:
    """The server, its agent delivering to the local Events API."""
    say_what_it_is(running.host, record_property)
    return running

"""Never a false green: while a fault keeps an event, `pdagent check` does not exit 0, its line says
why, and the remedy in that line, carried out as it stands there, gets the event delivered."""

import contextlib
import subprocess
from collections.abc import Callable

import pytest

from tests.faults.mishaps import FAULTS, Host, kill, nothing, private, stop
from tests.support.agent import Agent, directory, wait_until
from tests.support.check import Line, looked
from tests.support.events_api import CertificateAuthority, EventsApi
from tests.support.users import SENDER, User

pytestmark = pytest.mark.needs_root


@pytest.mark.parametrize("kind", FAULTS)
def test_faults(agent: Agent, api: EventsApi, kind: str) -> None:
    fault = FAULTS[kind]
    host = Host(agent, api)
    agent.start()
    fault.before(host)
    fault.break_it(host)
    fault.send(host)
    words = {
        "conf": agent.conf,
        "log": agent.log_file,
        "root": agent.root,
        "url": api.url,
        "hour": "",
    }
    says = fault.says.format(**words).rstrip(": ")
    line = wait_for(lambda: _says(agent, fault.line, says))
    assert line.remedy.startswith(fault.remedy.format(**words)), line
    fault.by_hand(host)
    host.carry_out(line.remedy)
    if agent.daemon is None or agent.daemon.poll() is not None:
        agent.daemon = None
        agent.start()  # as the unit's Restart=always does
    if fault.send is nothing and fault.before is not stop:
        host.send()
    done = [line.remedy]
    wait_until(lambda: host.is_well(done) and api.accepted, seconds=180)
    assert agent.names("err") == []


def wait_for(look: Callable[[], Line | None]) -> Line:
    """The line, once it is there."""
    found: list[Line] = []

    def is_there() -> bool:
        found.extend(filter(None, [look()]))
        return bool(found)

    wait_until(is_there, seconds=180)
    return found[0]


def _says(agent: Agent, subject: str, text: str, user: User | None = None) -> Line | None:
    """The line of the check that has this text, if the check is not content."""
    result = looked(agent, user=user)
    if result.code == 0:
        return None
    lines = [line for line in result.lines if line.subject == subject and text in line.text]
    return lines[0] if lines else None


def test_authorities_that_the_service_cannot_read(agent: Agent) -> None:
    """A ca_file that root can read and the service can't: named with its remedy, which helps."""
    with (
        directory() as root,
        EventsApi(tls=CertificateAuthority(str(root))) as api,
    ):
        place = agent.root
        host = Host(agent, api)
        private(host)
        host.send()
        says = f"the service cannot read {place}/ca.pem: Permission denied"
        line = wait_for(lambda: _says(agent, "delivery", says))
        assert line.remedy.startswith(f"chmod a+r {place}/ca.pem")
        (place / "ca.pem").chmod(0o644)
        api.wait_accepted(1)
        wait_until(lambda: looked(agent).code == 0)


@pytest.mark.parametrize("text", ["", "no certificates\n"])
def test_authorities_that_are_none(agent: Agent, text: str) -> None:
    """A ca_file without certificates, before and after it is put right."""
    with directory() as root, EventsApi(tls=CertificateAuthority(str(root))) as api:
        (agent.root / "ca.pem").write_text(text)
        host = Host(agent, api)
        host.set(ca_file=agent.root / "ca.pem")
        agent.start()
        host.send()
        line = wait_for(lambda: _says(agent, "delivery", "it holds no certificates in PEM form"))
        assert line.remedy.startswith("Let ca_file name a file with certificates in PEM form")
        host.set(ca_file=api.ca_file)
        host.restart()
        wait_until(lambda: host.is_well([]) and api.accepted)


def test_a_full_disk_of_logs(agent: Agent, api: EventsApi, mount: Callable[..., None]) -> None:
    """Nothing is written to the log any more, and the check says so."""
    mount("-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", agent.log_file.parent)
    agent.own(agent.log_file.parent)
    host = Host(agent, api)
    agent.start()
    ballast = agent.log_file.parent / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(bytes(1024)):
            pass
    says = f"the disk of {agent.log_file.parent} is full"
    line = wait_for(lambda: _says(agent, "delivery", says))
    assert line.remedy == f"Free some space where {agent.log_file.parent} is."
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", agent.log_file.parent], check=True)
    wait_until(lambda: host.is_well([]))


def test_a_full_disk(agent: Agent, api: EventsApi, full_disk: Callable[..., None]) -> None:
    """The log, the status and the check say so; once there is room, all is well again."""
    host = Host(agent, api)
    agent.start()
    full_disk()
    line = wait_for(lambda: _says(agent, "delivery", f"the disk of {agent.spool} is full"))
    assert line.remedy == f"Free some space where {agent.spool} is."
    wait_until(lambda: f"the disk of {agent.spool} is full" in agent.log)
    host.send()  # directly
    api.wait_accepted(1)
    subprocess.run(["mount", "-o", "remount,size=64m", agent.data_dir], check=True)
    (agent.data_dir / "ballast").unlink()
    wait_until(lambda: "no longer so: the disk" in agent.log)


def test_user(agent: Agent, api: EventsApi) -> None:
    """Without rights too: an event is held, or none can be sent, so the exit code is not 0."""
    host = Host(agent, api)
    api.stop()
    agent.start()
    host.send()
    # the check finds that nobody listens, perhaps before the daemon does
    wait_for(lambda: _says(agent, "delivery", "PagerDuty cannot be reached", SENDER))
    assert looked(agent, user=SENDER).code == 3
    agent.spool.chmod(0o700)
    line = _says(agent, "directories", "not every user can send")
    assert line is not None
    result = looked(agent, user=SENDER)
    assert result.code == 3
    assert result.result.startswith("pages do NOT go out: directories: ")


def test_nagios(agent: Agent, api: EventsApi) -> None:
    """A plugin's codes and its one line, for a warning and for a failure."""
    host = Host(agent, api)
    host.set(event_url="misspelt")
    agent.start()
    found = agent.run("pdagent", "check", "--nagios")
    assert found.returncode == 1
    assert found.stdout.startswith(b"PDAGENT WARNING - pages go out, but see to this: ")
    kill(host)
    found = agent.run("pdagent", "check", "--nagios")
    assert found.returncode == 2
    assert found.stdout.startswith(b"PDAGENT CRITICAL - pages do NOT go out: daemon: ")
    assert found.stdout.count(b"\n") == 1

"""Never a false green: while a fault keeps an event, `pdagent check` does not exit 0, its line says
why, and the remedy in that line, carried out as it stands there, gets the event delivered."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import Agent, directory, wait_until
from tests.support.check import Line, looked
from tests.support.events import KEY
from tests.support.events_api import Answer, CertificateAuthority, EventsApi
from tests.support.users import AGENT, SENDER, User

pytestmark = pytest.mark.needs_root

NAMED = b'{"routing_key": "@db", "event_action": "trigger", "payload": '
NAMED += b'{"summary": "x", "source": "x", "severity": "info"}}'


class Host:
    """An agent that is broken and mended, and its Events API."""

    def __init__(self, agent: Agent, api: EventsApi) -> None:
        self.agent = agent
        self.api = api
        self.settings: dict[str, object] = {}
        self.set(events_url=api.url, backoff_interval_secs=1, send_interval_secs=1)

    def set(self, **settings: object) -> None:
        """Edits the configuration."""
        self.settings.update(settings)
        keys = self.agent.conf.read_text().partition("[Keys]")[2]
        self.agent.configure(**self.settings)
        if keys:
            self.name_keys(keys)

    def name_keys(self, lines: str) -> None:
        self.agent.conf.write_text(self.agent.conf.read_text() + "[Keys]\n" + lines)

    def take_up(self, **settings: object) -> None:
        """Edits the configuration, and reloads."""
        self.set(**settings)
        self.reload()

    def reload(self) -> None:
        assert self.agent.daemon is not None
        before = self.agent.log.count("configuration reloaded") + self.agent.log.count("old one")
        self.agent.daemon.send_signal(signal.SIGHUP)
        wait_until(
            lambda: (
                self.agent.log.count("configuration reloaded") + self.agent.log.count("old one")
                > before
            )
        )

    def restart(self) -> None:
        if self.agent.daemon is not None:
            self.agent.end(signal.SIGKILL)
        self.agent.start()

    def send(self) -> None:
        self.agent.send(KEY, "trigger", "-d", "x")

    def drop_named(self) -> None:
        """An event by the name of a key, from one who may not read the names."""
        self.agent.drop(f"{time.time_ns() // 1000}_@db.txt", NAMED)

    # --- remedies -------------------------------------------------------------------------------

    def carry_out(self, remedy: str) -> None:
        """Runs the commands of a remedy, in their order."""
        for command in re.findall(
            r"pdagent check --repair|service pdagent \w+|systemctl \w+ pdagent|rm /\S+"
            r"|pd-queue retry EVENT --to-key KEY",
            remedy,
        ):
            words = command.split()
            if words[0] == "pdagent":
                assert self.agent.run(*words).stdout
            elif words[0] == "pd-queue":
                self.retry(words)
            elif words[0] in ("service", "systemctl"):
                self.reload() if "reload" in words else self.restart()
            else:
                subprocess.run(words, check=True)

    def is_well(self, done: list[str]) -> bool:
        """Whether the check is content. If not, carries out the first remedy that is not yet
        `done`."""
        wrong = [line for line in looked(self.agent).lines if line.level in ("warning", "failed")]
        wrong = [line for line in wrong if line.subject != "rate limits"]  # of the whole day
        for line in wrong[:1]:
            if line.remedy not in done:
                done.append(line.remedy)
                self.carry_out(line.remedy)
        return not wrong

    def retry(self, words: list[str]) -> None:
        [event] = self.agent.names("err")
        name = event.partition("_")[0]
        words = [{"EVENT": name, "KEY": KEY[::-1]}.get(word, word) for word in words]
        self.agent.run(*words, check=True)


Act = Callable[[Host], object]


@dataclass(frozen=True)
class Fault:
    """What is broken, the line that must name it, the beginning of its remedy, and what of the
    remedy a person does by hand, before its commands."""

    break_it: Act
    line: str
    says: str
    remedy: str
    by_hand: Act = lambda host: None
    send: Act = Host.send
    before: Act = lambda host: None


def private(host: Host) -> None:
    """An authority's file that only root may read."""
    path = host.agent.root / "ca.pem"
    path.write_text(Path(host.api.ca_file).read_text())
    path.chmod(0o600)
    host.set(ca_file=path)
    host.restart()


def chown_all(host: Host) -> None:
    for path in [host.agent.spool, *host.agent.data_dir.rglob("*")]:
        os.chown(path, 0, 0)


def chmod_all(host: Host) -> None:
    for path in host.agent.data_dir.rglob("*"):
        path.chmod(0)


def named_keys(mode: int, text: str = f"[Keys]\ndb = {KEY}\n") -> Act:
    def write(host: Host) -> None:
        path = host.agent.root / "keys"
        path.write_text(text)
        path.chmod(mode)
        host.set(keys_file=path)
        host.restart()

    return write


def unreadable_event(host: Host) -> None:
    host.send()
    [name] = host.agent.names("pdq")
    path = host.agent.spool / "pdq" / name
    path.chmod(0o600)
    os.chown(path, 0, 0)
    host.agent.start()


def kill(host: Host) -> None:
    host.agent.end(signal.SIGKILL)


def freeze(host: Host) -> None:
    assert host.agent.daemon is not None
    host.agent.daemon.send_signal(signal.SIGSTOP)


def stop(host: Host) -> None:
    host.agent.stop()


def another_place(host: Host) -> None:
    """The file names a new place; the daemon was not restarted."""
    place = host.agent.root / "elsewhere"
    host.agent.own(place)
    host.set(data_dir=place)


def fifo_for_a_lock(host: Host) -> None:
    """User pdagent's doing: whoever opens it waits for ever."""
    host.agent.stop()
    lock = host.agent.data_dir / "db/daemon.lock"
    lock.unlink()
    os.mkfifo(lock, 0o666)
    os.chown(lock, AGENT.uid, AGENT.gid)


def reject(host: Host) -> None:
    host.set(events_url="nowhere")
    host.reload()


def remove_state(host: Host) -> None:
    # The daemon may write a file into db/ while rmtree looks through it, so db/ is moved first.
    moved = host.agent.data_dir / "db.moved"
    (host.agent.data_dir / "db").rename(moved)
    shutil.rmtree(moved)


def refuse_key(host: Host) -> None:
    host.api.unknown_keys.add(KEY)


def nothing(_: Host) -> None:
    pass


FAULTS = {
    "the daemon was killed": Fault(kill, "daemon", "does not run", "service pdagent restart"),
    "the daemon hangs": Fault(freeze, "daemon", "has not answered", "service pdagent restart"),
    "a FIFO in the place of the lock": Fault(
        fifo_for_a_lock,
        "daemon",
        "does not run",
        "service pdagent restart",
        lambda host: (host.agent.data_dir / "db/daemon.lock").unlink(),
    ),
    "the wake FIFO is gone": Fault(
        lambda host: (host.agent.data_dir / "db/wake").unlink(),
        "daemon",
        "pdagentd runs, but does not read ",
        "service pdagent restart",
        send=nothing,
    ),
    "chown -R root": Fault(chown_all, "delivery", "cannot write", "sudo pdagent check --repair"),
    "chmod -R 0": Fault(
        chmod_all,
        "directories",
        "not every user can send",
        "sudo pdagent check --repair",
        send=nothing,
    ),
    "db/ is gone": Fault(
        remove_state,
        "daemon",
        "pdagentd runs, but does not read ",
        "service pdagent restart",
    ),
    "another data_dir": Fault(
        another_place,
        "daemon",
        "pdagentd runs, but does not read ",
        "service pdagent restart",
        send=nothing,
    ),
    "an event of root's": Fault(
        unreadable_event,
        "delivery",
        "events cannot be read: the agent may not read it; 1 event waits",
        "sudo pdagent check --repair",
        send=nothing,
        before=stop,
    ),
    "the configuration is root's": Fault(
        lambda host: host.agent.conf.chmod(0o600),
        "delivery",
        "cannot read {conf}: Permission denied",
        "sudo pdagent check --repair",
        send=nothing,
    ),
    "the log is root's": Fault(
        lambda host: os.chown(host.agent.log_file, 0, 0),
        "delivery",
        "cannot write {log}: Permission denied",
        "sudo pdagent check --repair",
        send=nothing,
    ),
    "a rejected configuration": Fault(
        reject,
        "delivery",
        "the new configuration was not taken up: {conf}, line ",
        "Correct {conf}, then: service pdagent reload",
        lambda host: host.set(events_url=host.api.url),
        send=nothing,
    ),
    "no key of that name": Fault(
        nothing,
        "delivery",
        "no integration key is named @db",
        "Add the name to [Keys] in {conf}, or to keys_file, then: service pdagent reload",
        lambda host: host.name_keys(f"db = {KEY}\n"),
        Host.drop_named,
    ),
    "keys_file is root's": Fault(
        named_keys(0o600),
        "delivery",
        "cannot read {root}/keys: Permission denied",
        "sudo pdagent check --repair && service pdagent reload",
        send=Host.drop_named,
    ),
    "keys_file is damaged": Fault(
        named_keys(0o644, "[Keys]\n\0junk\n"),
        "configuration",
        "{root}/keys, line 2",
        "Correct it",
        named_keys(0o644),
        Host.drop_named,
    ),
    "a wrong key": Fault(
        refuse_key,
        "queue",
        "1 in error since yesterday; the last: ",
        "Copy the key again from the service's Integrations page",
    ),
    "nothing listens": Fault(
        lambda host: host.api.stop(),
        "delivery",
        "PagerDuty cannot be reached since {hour}: ",
        "Open the firewall for port 443, or name a proxy",
        lambda host: host.api.start(),
    ),
    "no such name": Fault(
        lambda host: host.take_up(events_url="http://no.such.host.invalid"),
        "delivery",
        "PagerDuty cannot be reached",
        "See /etc/resolv.conf",
        lambda host: host.take_up(events_url=host.api.url),
    ),
    "a path of somebody else's": Fault(
        lambda host: host.take_up(events_url=f"{host.api.url}/old/api"),
        "delivery",
        "PagerDuty cannot be reached",
        "Take the path off: events_url = {url}.",
        lambda host: host.take_up(events_url=host.api.url),
    ),
    "an address of another host": Fault(
        lambda host: host.take_up(source_address="192.0.2.1"),
        "delivery",
        "PagerDuty cannot be reached",
        "source_address = 192.0.2.1 is no address of this host",
        lambda host: host.take_up(source_address="0.0.0.0"),
    ),
    "a proxy that is not there": Fault(
        lambda host: host.take_up(proxy_url="http://127.0.0.1:1"),
        "delivery",
        "PagerDuty cannot be reached",
        "",
        lambda host: host.take_up(proxy_url=""),
    ),
    "a portal": Fault(
        lambda host: host.api.always(None, Answer(200, html="<html>pay first</html>")),
        "delivery",
        "PagerDuty cannot be reached",
        "A proxy, a portal or a filter answers in PagerDuty's place",
        lambda host: host.api.always(None, None),
    ),
    "throttled": Fault(
        lambda host: host.api.always(KEY, Answer(429, retry_after=2)),
        "delivery",
        "PagerDuty throttles 1 key; 1 event waits",
        "Nothing is lost. Send fewer events a minute",
        lambda host: host.api.always(KEY, None),
    ),
    "PagerDuty fails": Fault(
        lambda host: host.api.always(KEY, Answer(503)),
        "delivery",
        "PagerDuty fails on ",
        "They are tried again by themselves",
        lambda host: host.api.always(KEY, None),
    ),
}


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
    wait_until(lambda: Host(agent, api).is_well([]))


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

"""What happens to hosts, the line of `pdagent check` that has to name it, and how it is mended."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.agent import Agent, wait_until
from tests.support.check import looked
from tests.support.events import KEY
from tests.support.events_api import Answer, EventsApi
from tests.support.users import AGENT

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
    "chown -R root": Fault(chown_all, "delivery", "cannot write", "sudo pdagent check --repair"),
    "chmod -R 0": Fault(
        chmod_all,
        "directories",
        "not every user can send",
        "sudo pdagent check --repair",
        send=nothing,
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

"""What administrators do: they retry and purge events, and change the configuration."""

import contextlib
import os
from typing import TYPE_CHECKING

from pdagent.queue.intervention import Gone, Intervention
from pdagent.queue.names import key_of
from pdagent.queue.state import State
from pdagent.spool import IN_ERROR, PENDING
from tests.simulation.model import Event
from tests.simulation.places import ROOT
from tests.simulation.senders import EXPECTED, NAMED
from tests.simulation.server import GOOD
from tests.simulation.world import Process

if TYPE_CHECKING:
    from tests.simulation.day import Day

CONF = "/etc/pdagent.conf"
DATA = "/var/lib/pdagent"
SETTINGS = f"""[Main]
data_dir = {DATA}
log_dir = /var/log
run_dir = /run
backoff_interval_secs = 20
heartbeat_url = http://events.invalid/beat
ca_file = /etc/ca
"""


class Administrators:
    def __init__(self, day: "Day") -> None:
        self._day = day
        self._choice = day.choice
        self._kernel = day.kernel
        self._places = day.places
        self._model = day.model

    def retry(self) -> None:
        self._day.begin(Process("retry"), self._retry_all)

    def _retry_all(self) -> None:
        person = Intervention(ROOT, State(DATA), str)
        with contextlib.suppress(OSError):
            for name in sorted(self._kernel.listdir(f"{ROOT}/{IN_ERROR}")):
                if key_of(name) is not None:
                    for event in self._named(IN_ERROR, name):
                        event.retried = True
                    with contextlib.suppress(Gone):
                        person.retry(name)
            person.finish()

    def _named(self, place: str, name: str) -> list[Event]:
        """The event of that file, if it is one's."""
        found = [self._model.events.get(data) for n, data in self._places.files(place) if n == name]
        return [event for event in found if event is not None]

    def purge(self) -> None:
        self._day.begin(Process("purge"), self._purge_some)

    def _purge_some(self) -> None:
        place = self._choice.choice([PENDING, IN_ERROR])
        with contextlib.suppress(OSError):
            names = self._kernel.listdir(f"{ROOT}/{place}")
            others = {n for n, data in self._places.files(place) if EXPECTED.encode() in data}
            names = [name for name in names if key_of(name) and name not in others]
            chosen = [name for name in names if self._choice.random() < 0.5]
            events = {name: self._named(place, name) for name in chosen}
            for found in events.values():
                for event in found:
                    event.doomed = True
            person = Intervention(ROOT, State(DATA), str)
            for _, name in person.purge([(place, name) for name in chosen]):
                for event in events[name]:
                    event.removed = True
        if self._day.cuts and self._choice.random() < 0.3:
            self._day.cut_power()

    def reload(self) -> None:
        def reload() -> None:
            self.configure()
            self._day.signals.send(self._day.daemon, self._day.signals.SIGHUP)

        self._day.begin(Process("admin"), reload)

    def configure(self, calm: bool = False) -> None:
        addresses = [f"{self._day.scheme}://{host}" for host in self._day.hosts]
        text = f"{SETTINGS}events_url = {' '.join(addresses)}\n"
        text += f"max_per_key = {self._choice.choice([1, 2, 8])}\n"
        text += f"max_connections = {self._choice.choice(self._day.connections)}\n"
        text += f"cleanup_interval_secs = {self._choice.choice([20, 10_800])}\n"
        text += f"heartbeat = {self._choice.choice(['on', 'off'])}\n"
        if self._day.proxies and self._choice.random() < 0.7:
            text += "proxy_url = http://user:secret@proxy.invalid:3128\n"
        if not self._day.forgetful or calm or self._choice.random() < 0.5:
            text += f"[Keys]\n{NAMED[1:]} = {GOOD}\n"
        new = f"{CONF}.{self._day.world.steps}"  # there may be two who do so
        fd = self._kernel.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        self._kernel.write(fd, text.encode())
        self._kernel.fsync(fd)
        self._kernel.close(fd)
        self._kernel.rename(new, CONF)

"""Ten hosts without a way out page through two relays, by the installed package."""

import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.network import Islands
from tests.support.events import sent
from tests.support.events_api import EventsApi
from tests.support.events_api.certificates import CertificateAuthority

SENDERS = [f"sender{number}" for number in range(10)]
RELAYS = {"relay1": 49463, "relay2": 49464}
PLACE = "/srv/relays"
# of each agent, below a directory of its own
DIRECTORIES = {"data_dir": "lib", "log_dir": "log", "run_dir": "run"}


class Site:
    """One host that is two relays and ten senders, each sender on an island of its own."""

    def __init__(self, host: Host, islands: Islands, api: EventsApi, tmp_path: Path) -> None:
        self._host = host
        self._islands = islands
        self._starts: Counter[str] = Counter()
        self.far = f"{host.engine.gateway}:{api.port}"
        self._write(tmp_path)
        for name, port in RELAYS.items():
            listening = {
                "listen": f"{Islands.ADDRESS}:{port}",
                "listen_cert": f"{PLACE}/relay.crt",
                "listen_key": f"{PLACE}/relay.key",
                "listen_tokens_file": f"{PLACE}/tokens",
            }
            self._configure(name, events_url=f"http://{self.far}", **listening)
        self.islands = {name: islands.add() for name in SENDERS}
        for name in SENDERS:
            self._configure(
                name,
                events_url=" ".join(f"https://{Islands.ADDRESS}:{p}" for p in RELAYS.values()),
                ca_file=f"{PLACE}/ca.pem",
                events_token_file=f"{PLACE}/{name}.token",
            )
        for name in (*RELAYS, *SENDERS):
            self.start(name)

    def _write(self, tmp_path: Path) -> None:
        ca = CertificateAuthority(str(tmp_path))
        cert, key = ca.files(str(tmp_path), Islands.ADDRESS)
        tokens = {name: f"{name}-0123456789abcdef" for name in SENDERS}
        texts = {
            "ca.pem": Path(ca.ca_file).read_text(),
            "relay.crt": Path(cert).read_text(),
            "relay.key": Path(key).read_text(),
            "tokens": "\n".join(f"{name} = {token}" for name, token in tokens.items()),
            **{f"{name}.token": token for name, token in tokens.items()},
        }
        lines = [f"cat >{PLACE}/{name} <<'END'\n{text}\nEND" for name, text in texts.items()]
        self._host.sh(
            f"mkdir -p {PLACE}; chmod 755 {PLACE}; umask 027\n" + "\n".join(lines) + "\n"
            f"chgrp pdagent {PLACE}/*; chmod 644 {PLACE}/ca.pem {PLACE}/relay.crt"
        )

    def _configure(self, name: str, **settings: str) -> None:
        place = f"{PLACE}/{name}"
        lines = [f"{key} = {place}/{path}" for key, path in DIRECTORIES.items()]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        self._host.sh(
            f"mkdir -p {place}/lib {place}/log {place}/run; chown -R pdagent:pdagent {place}\n"
            f"cat >{place}/pdagent.conf <<'END'\n[Main]\n" + "\n".join(lines) + "\nEND"
        )

    def start(self, name: str) -> None:
        place = f"{PLACE}/{name}"
        script = f"echo $$ >{place}/run/pid; PDAGENT_CONF={place}/pdagent.conf exec pdagentd -f"
        command = self._islands.command(self.islands.get(name), script, "pdagent")
        quiet = subprocess.DEVNULL
        subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
        self._starts[name] += 1
        ready = f"$(grep -sc Ready: {place}/log/pdagentd.log)"
        self._host.until(f"[ {ready} = {self._starts[name]} ]")

    def kill(self, *names: str) -> None:
        files = " ".join(f"{PLACE}/{name}/run/pid" for name in names)
        self._host.sh(f"kill -KILL $(cat {files})")

    def send(self, action: str) -> None:
        """From each sender, about an incident of its own."""
        for name, island in self.islands.items():
            conf, what = f"PDAGENT_CONF={PLACE}/{name}/pdagent.conf", f"-i {name} -d fire"
            script = f"{conf} pd-send -q -k {KEY} -t {action} {what}"
            subprocess.run(self._islands.command(island, script), check=True)

    def wait(self, condition: str) -> None:
        self._host.until(condition)

    def run(self, island: str, script: str) -> int:
        return subprocess.run(self._islands.command(island, script), check=False).returncode


def pending(*names: str) -> str:
    """A shell word: how many events these agents hold."""
    return f"$(ls {' '.join(f'{PLACE}/{name}/lib/outqueue/pdq/' for name in names)} | grep -c txt)"


@pytest.fixture
def site(host: Host, api: EventsApi, tmp_path: Path) -> Iterator[Site]:
    islands = Islands(host)
    try:
        site = Site(host, islands, api, tmp_path)
        yield site
        site.kill(*RELAYS, *SENDERS)
    finally:
        islands.close()


@pytest.mark.only("systemd")
@pytest.mark.only("deb")
@pytest.mark.latest
def test_two_relays_and_ten_senders(site: Site, api: EventsApi) -> None:
    """PagerDuty is away, then a relay dies with what it holds: nothing is lost, and the chains of
    the other relay are in order."""
    assert site.run("island1", f"exec 3<>/dev/tcp/{site.far.replace(':', '/')}") != 0
    site.send("trigger")
    api.wait_accepted(10)
    site.wait(f"[ {pending(*RELAYS)} = 0 ]")
    names = {name: f"{PLACE}/{name}/log/pdagentd.log" for name in RELAYS}
    for log in names.values():
        site.wait(f"grep -q 'accepted an event from sender' {log}")
    api.stop()
    site.send("acknowledge")
    site.wait(f"[ {pending(*RELAYS)} = 10 ]")
    site.kill("relay2")
    site.send("resolve")
    # the chains of the relay that is away move to the other
    site.wait(f"[ {pending('relay1')} -gt 10 ] || [ {pending(*SENDERS)} = 0 ]")
    site.wait(f"[ {pending(*SENDERS)} = 0 ]")
    site.start("relay2")
    api.start()
    came = defaultdict(list)
    for request in api.wait_accepted(30):
        event = sent(request)
        came[str(event["dedup_key"])].append(event["event_action"])
    assert sorted(came) == sorted(SENDERS)
    for actions in came.values():
        assert actions[0] == "trigger"
        assert sorted(set(actions)) == ["acknowledge", "resolve", "trigger"]
    assert sum(actions == ["trigger", "acknowledge", "resolve"] for actions in came.values()) > 0

"""The packages' life in an arm64 Debian: installed, used, upgraded, removed. Nightly: an emulator
runs all of it (`make arm64`)."""

import subprocess
from pathlib import Path

import pytest

from tests.arm64.conftest import Debian
from tests.support.agent import wait_until
from tests.support.events import KEY, summaries
from tests.support.events_api import EventsApi
from tests.support.frozen import ROOT

SERVE = "/etc/init.d/pdagent"


class Host:
    """An arm64 Debian, entered anew for each script. Its daemon goes on in `script` alone."""

    def __init__(self, debian: Debian) -> None:
        enter = ROOT / "ci/binfmt.sh"
        self._enter: list[str | Path] = [enter, debian.emulator, "chroot", debian.root, "sh", "-eu"]
        self.packages = debian.packages

    def script(self, text: str) -> str:
        done = subprocess.run(
            self._enter, input=f"mount -t proc proc /proc\n{text}", text=True, capture_output=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)


@pytest.fixture(scope="module")
def host(debian: Debian) -> Host:
    return Host(debian)


def deliver(host: Host, api: EventsApi, summary: str) -> None:
    """Any user's event, by the packages' own daemon."""
    seen = len(api.accepted)
    host.script(f"""
        sed -i '/^events_url/d' /etc/pdagent.conf
        echo 'events_url = {api.url}' >>/etc/pdagent.conf
        setpriv --reuid 65534 --regid 65534 --clear-groups \\
            pd-send -k {KEY} -t trigger -d '{summary}' -i arm64
        {SERVE} start
        tries=600
        until pd-queue status 2>/dev/null | grep -Eq '{KEY} +0 '; do
            sleep 0.2
            [ $((tries -= 1)) -gt 0 ]
        done
        {SERVE} stop
    """)
    wait_until(lambda: len(api.accepted) > seen)
    assert summaries(api.accepted)[-1] == summary


def test_life(host: Host, api: EventsApi, tmp_path: Path) -> None:
    """Installed, an event delivered, upgraded, another delivered, removed, purged: nothing is
    left."""
    host.packages(ROOT / "dist")
    host.script("dpkg --install /packages/*.deb")
    deliver(host, api, "from arm64")
    subprocess.run(
        [ROOT / "ci/packages.sh", tmp_path],
        check=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "VERSION": "3.0.1", "ARCHES": "arm64"},
    )
    host.packages(tmp_path)
    host.script("dpkg --install /packages/*.deb")
    assert "3.0.1" in host.script("dpkg-query -W -f '${Version}' pdagent")
    deliver(host, api, "after an upgrade")
    host.script("dpkg --remove pdagent-integrations pdagent")
    host.script("dpkg --purge pdagent-integrations pdagent")
    left = host.script("find / -xdev -path /proc -prune -o -name '*pdagent*' -print")
    assert [line for line in left.splitlines() if not line.startswith("/packages")] == []

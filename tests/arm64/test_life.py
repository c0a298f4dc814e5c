"""The packages' life in an arm64 Debian: installed, used, upgraded, removed. Nightly: an emulator
runs all of it (`make arm64`)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import wait_until
from tests.support.events import KEY, summaries
from tests.support.events_api import EventsApi
from tests.support.frozen import ROOT

SERVE = "/etc/init.d/pdagent"


class Host:
    """A root file system, entered anew for each script. Its daemon goes on in `script` alone."""

    def __init__(self, root: Path, emulator: Path) -> None:
        self.root = root
        enter = ROOT / "ci/binfmt.sh"
        self._enter: list[str | Path] = [enter, emulator, "chroot", root, "sh", "-eu"]

    def script(self, text: str) -> str:
        done = subprocess.run(
            self._enter, input=f"mount -t proc proc /proc\n{text}", text=True, capture_output=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def packages(self, directory: Path) -> None:
        """Puts the packages of a directory into /packages."""
        place = self.root / "packages"
        place.mkdir(exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for package in (*directory.glob("*_arm64.deb"), *directory.glob("*_all.deb")):
            (place / package.name).write_bytes(package.read_bytes())


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = subprocess.run(
        [ROOT / "ci/arm64-root.sh"], check=True, stdout=subprocess.PIPE, text=True
    )
    emulator, archive = made.stdout.split()
    root = tmp_path_factory.mktemp("arm64") / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
    yield Host(root, Path(emulator))
    subprocess.run(["rm", "-rf", root], check=True)


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

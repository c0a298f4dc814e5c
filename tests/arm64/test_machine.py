"""An arm64 Debian that boots on a kernel of its own: systemd starts the unit in its sandbox."""

from pathlib import Path

from tests.arm64.conftest import Debian
from tests.support.events import KEY, summaries
from tests.support.events_api import EventsApi
from tests.support.frozen import ROOT
from tests.support.machine import HOST, Machine, prepare

# Asks for memory that may be read, written and run: mmap(2) is number 222 on arm64.
PROBE = "perl -e 'exit(syscall(222, 0, 4096, 7, 0x22, -1, 0) == -1)'"
SEND = "setpriv --reuid 65534 --regid 65534 --clear-groups pd-send -t trigger"
# A look at the queue takes a second here.
DELIVERED = f"""
    tries=120
    until pd-queue status | grep -Eq '{KEY} +0 '; do
        sleep 0.5
        [ $((tries -= 1)) -gt 0 ] || {{ journalctl --unit pdagent; exit 1; }}
    done
"""


def test_unit(debian: Debian, api: EventsApi, tmp_path: Path) -> None:
    """Installed, started and confined, it delivers, after it was killed, too. Nothing in its
    sandbox gets memory that is both written and run."""
    debian.packages(ROOT / "dist")
    prepare(debian.root)
    with Machine(debian.root, "arm64", "bookworm", tmp_path) as machine:
        assert machine.script("uname -m").strip() == "aarch64"
        machine.script("dpkg --install /packages/*.deb; systemctl is-active pdagent")
        machine.script(f"""
            echo 'events_url = {api.url.replace("127.0.0.1", HOST)}' >>/etc/pdagent.conf
            mkdir -p /etc/systemd/system/pdagent.service.d
            cat >/etc/systemd/system/pdagent.service.d/probe.conf <<'END'
[Service]
ExecStartPost=-/bin/sh -c "{PROBE}; echo $$? >/var/log/pdagent/inside"
END
            {PROBE}
            systemctl daemon-reload
            systemctl restart pdagent
        """)
        assert machine.script("cat /var/log/pdagent/inside").strip() == "1"
        machine.script(f"{SEND} -k {KEY} -i one -d 'from a kernel for arm64'; {DELIVERED}")
        machine.script(f"""
            systemctl kill --signal=KILL pdagent
            {SEND} -k {KEY} -i two -d 'after a kill'
            {DELIVERED}
        """)
    assert summaries(api.accepted) == ["from a kernel for arm64", "after a kill"]

"""What the service can't do, tried by a script that systemd runs in the service's own sandbox."""

import re

import pytest

from tests.hosts.host import Host
from tests.hosts.service import Systemd

# What must fail inside, from which version of systemd on, and how it is tried.
FORBIDDEN = """
write /etc               214  touch /etc/mine
write /usr               214  touch /usr/mine
write /srv               232  touch /srv/mine
write /home              214  touch /home/alice/mine
see /home                214  cat /home/alice/diary
see /root                214  cat /root/diary
see another's /tmp       214  cat /tmp/diary
become root              214  test "$(/usr/local/bin/id-of-root -u)" = 0
mount                    214  mount -t tmpfs none /var/lib/pdagent/db
make a setuid program    242  cp /bin/sh /var/log/pdagent/sh && chmod u+s /var/log/pdagent/sh
make a namespace         233  unshare --user true
see other processes      247  test -e /proc/1/cmdline
see kernel settings      247  test -e /proc/sys/kernel
"""
PROBE = "/usr/local/bin/probe"


@pytest.mark.only("systemd")
def test_sandbox(host: Host) -> None:
    """What root can do outside, nobody can inside."""
    assert isinstance(host.service, Systemd)
    version = int(host.sh("systemctl --version | sed 's/^systemd \\([0-9]*\\).*/\\1/; q'"))
    rows = [re.split(" {2,}", row, maxsplit=2) for row in FORBIDDEN.strip().splitlines()]
    rows = [row for row in rows if int(row[1]) <= version]
    lines = "\n".join(f'({how}) >/dev/null 2>&1 && echo "{what}"' for what, _, how in rows)
    host.sh(f"""
        cat >{PROBE} <<'END'
#!/bin/sh
{lines}
echo end
END
        cp /usr/bin/id /usr/local/bin/id-of-root
        chmod 4755 /usr/local/bin/id-of-root
        chmod 755 {PROBE} /home/alice
        for place in /home/alice /root /tmp; do echo dear >$place/diary; done
        chmod 644 /home/alice/diary /tmp/diary""")

    outside = host.sh(PROBE).splitlines()
    assert outside == [what for what, *_ in rows] + ["end"]

    host.sh("rm -f /var/log/pdagent/sh; umount /var/lib/pdagent/db")
    host.service.override(f"ExecStartPost=/bin/sh -c '{PROBE} >/var/log/pdagent/inside'")
    assert host.sh("cat /var/log/pdagent/inside").splitlines() == ["end"]


@pytest.mark.only("systemd")
def test_exposure(host: Host) -> None:
    """systemd's own judgement of the service, from 0 (none) to 10: 1.5 at most."""
    version = int(host.sh("systemctl --version | sed 's/^systemd \\([0-9]*\\).*/\\1/; q'"))
    if version < 252:
        pytest.skip(f"systemd {version} asks for other lines, and knows fewer")
    said = host.sh("systemd-analyze --no-pager security pdagent.service | tail -n 1")
    found = re.search(r"exposure level for pdagent.service: ([0-9.]+)", said)
    assert found, said
    assert float(found[1]) <= 1.5, said

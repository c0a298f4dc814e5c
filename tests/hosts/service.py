"""What an administrator does with the service, in systemd's words and in SysV's."""

import shlex
from collections.abc import Callable

from tests.hosts.engine import Init

Shell = Callable[[str], str]


class Systemd:
    def __init__(self, sh: Shell) -> None:
        self.sh = sh

    def start(self) -> None:
        self.sh("systemctl start pdagent")

    def stop(self) -> None:
        self.sh("systemctl stop pdagent")

    def restart(self) -> None:
        self.sh("systemctl daemon-reload; systemctl restart pdagent")

    def disable(self) -> None:
        self.sh("systemctl disable --quiet pdagent")

    @property
    def is_running(self) -> bool:
        return self.sh("systemctl is-active pdagent || :") == "active"

    @property
    def is_enabled(self) -> bool:
        return self.sh("systemctl is-enabled pdagent 2>/dev/null || :") == "enabled"

    @property
    def pid(self) -> int:
        """The daemon's process, 0 if there is none."""
        return int(self.sh("systemctl show --property=MainPID pdagent | cut -d= -f2"))

    def override(self, *lines: str) -> None:
        """A drop-in for this host, and a restart."""
        text = shlex.join(["[Service]", *lines])
        self.sh(f"""
            mkdir -p /etc/systemd/system/pdagent.service.d
            printf '%s\\n' {text} >/etc/systemd/system/pdagent.service.d/test.conf""")
        self.restart()


class Sysv:
    def __init__(self, sh: Shell) -> None:
        self.sh = sh

    def start(self) -> None:
        self.sh("service pdagent start")

    def stop(self) -> None:
        self.sh("service pdagent stop")

    def restart(self) -> None:
        self.sh("service pdagent restart")

    def disable(self) -> None:
        self.sh("""
            if command -v chkconfig; then chkconfig pdagent off
            else update-rc.d pdagent disable; fi""")

    @property
    def is_running(self) -> bool:
        return self.sh("service pdagent status >/dev/null && echo yes || echo no") == "yes"

    @property
    def is_enabled(self) -> bool:
        return self.sh("ls /etc/rc3.d/S??pdagent 2>/dev/null || :") != ""

    @property
    def pid(self) -> int:
        return int(self.sh("cat /var/run/pdagent/pdagentd.pid 2>/dev/null || echo 0"))


def service(init: Init, sh: Shell) -> Systemd | Sysv:
    return Systemd(sh) if init == "systemd" else Sysv(sh)

"""Real proxies on this machine: tinyproxy, and proxy.py, which asks for passwords as most do."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.support.agent import wait_until
from tests.support.ports import free_port, listens
from tests.support.users import AGENT, User

USER, PASSWORD = "agent", "s3cr3t-of-the-proxy"


class Proxy:
    """A proxy on loopback; `port` 0 takes a free one."""

    user: User | None = AGENT  # who runs it

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_with_password(self) -> str:
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **(self.user.popen() if self.user else {}),
        )
        wait_until(self._has_begun)
        return self

    def _has_begun(self) -> bool:
        assert self.process.poll() is None, "the proxy did not start"
        return listens(self.port)

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)  # proxy.py's processes are several
        self.process.wait()
        wait_until(lambda: not listens(self.port))  # another one may get the port


class Tinyproxy(Proxy):
    """Writes its log and configuration below `root`. With `password`, only for who knows it; a
    `broken` one reaches nothing, a `filtering` one answers with a page that says no."""

    def __init__(
        self,
        root: Path,
        password: bool = False,
        broken: bool = False,
        filtering: bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self.log_file = root / f"proxy-{self.port}.log"
        lines = [f"Port {self.port}", "Listen 127.0.0.1", "MaxClients 50", "Timeout 600"]
        lines += [f'LogFile "{self.log_file}"', "LogLevel Connect"]
        if password:
            lines.append(f"BasicAuth {USER} {PASSWORD}")
        if broken:
            lines.append("Upstream http 127.0.0.1:1")
        if filtering:
            lines.append(f'Filter "{self._write(root / "filter", "127.0.0.1")}"')
        self.conf = self._write(root / f"proxy-{self.port}.conf", *lines)

    @staticmethod
    def _write(path: Path, *lines: str) -> Path:
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o644)
        return path

    def command(self) -> list[str]:
        return ["tinyproxy", "-d", "-c", str(self.conf)]

    @property
    def asked_for(self) -> str:
        """The request lines that it logged."""
        text = self.log_file.read_text() if self.log_file.exists() else ""
        return "\n".join(line for line in text.splitlines() if "Request" in line)


class ProxyPy(Proxy):
    """Answers 407 to who does not know the password, 502 where it reaches nothing."""

    user = None  # the virtual environment may lie where the agent's user can't go

    def __init__(self, root: Path, password: str = PASSWORD, port: int = 0) -> None:
        super().__init__(port)
        self._root = root
        self._password = password

    def command(self) -> list[str]:
        options = ["--hostname", "127.0.0.1", "--port", str(self.port), "--num-workers", "1"]
        options += ["--num-acceptors", "1", "--basic-auth", f"{USER}:{self._password}"]
        return [sys.executable, "-m", "proxy", *options, "--data-dir", str(self._root / "proxy")]

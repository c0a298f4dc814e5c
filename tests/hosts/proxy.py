"""A real proxy, tinyproxy, on this machine."""

import os
import subprocess
import tempfile

from tests.support.agent import wait_until
from tests.support.ports import free_port, listens

NAME = "proxy.test"


class Proxy:
    """Listens at once; hosts reach it as `url`. `log()` shows who asked for what."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="proxy-")
        self._log = os.path.join(self._directory.name, "log")
        self.port = free_port("")
        conf = os.path.join(self._directory.name, "conf")
        with open(conf, "w") as file:
            file.write(f'Port {self.port}\nTimeout 60\nMaxClients 20\nLogFile "{self._log}"\n')
            if user:
                file.write(f"BasicAuth {user} {password}\n")
        self._process = subprocess.Popen(["tinyproxy", "-d", "-c", conf])
        credentials = f"{user}:{password}@" if user else ""
        self.url = f"http://{credentials}{NAME}:{self.port}/"
        wait_until(lambda: listens(self.port))

    def log(self) -> str:
        with open(self._log) as file:
            return file.read()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._directory.cleanup()

"""A machine with a kernel of its own, for what containers share with their host: qemu boots a root
file system of a Debian on Debian's kernel (ci/kernel.sh). An emulator runs all of it, since there
need be no KVM, so it takes minutes where a container takes seconds.

It reaches this machine's loopback as 10.0.2.2, and nothing else: it has no route and no
resolver."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import IO, Self

import pytest

from tests.support.frozen import ROOT

HOST = "10.0.2.2"
_BOOT_SECONDS = 1800.0
_SCRIPT_SECONDS = 3600.0

_QEMU = {
    "amd64": ["qemu-system-x86_64", "-cpu", "max"],
    # it has the real one's pages and no signed pointers, which are dear to emulate
    "arm64": ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"],
}
_CONSOLE = {"amd64": "ttyS0", "arm64": "ttyAMA0"}

# What is asked for by `script` comes through here: a line with its length, then itself. The answer
# is a line with its exit code and the length of what it printed, then that.
_SHELL = """#!/bin/sh
set -- /dev/vport*p1
exec <>"$1" >&0
echo ready
while read -r length; do
    head -c "$length" >/run/script
    code=0
    sh -eu /run/script >/run/said 2>&1 </dev/null || code=$?
    echo "$code $(stat -c %s /run/said)"
    cat /run/said
done
"""
_FILES = {
    "etc/hostname": "machine\n",
    "etc/systemd/system/shell.service": (
        "[Unit]\nAfter=multi-user.target\n\n"
        "[Service]\nType=idle\nExecStart=/usr/local/sbin/shell\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ),
    "etc/systemd/system.conf.d/slow.conf": "[Manager]\nDefaultTimeoutStartSec=600\n",
    "usr/local/sbin/shell": _SHELL,
}


def prepare(root: Path) -> None:
    """Puts into a root file system what `Machine` talks to."""
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "usr/local/sbin/shell").chmod(0o755)
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "shell.service").unlink(missing_ok=True)
    (wanted / "shell.service").symlink_to("../shell.service")


class Machine:
    """A booted one. Its files are `disk`, made of the prepared `root`; what its kernel says goes to
    `console`."""

    def __init__(
        self, root: Path, architecture: str, suite: str, scratch: Path, parameters: str = ""
    ) -> None:
        command = _QEMU[architecture]
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed: see ci/packages-machines.txt")
        self.disk = scratch / "disk"
        self.console = scratch / "console"
        subprocess.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, self.disk, "2G"], check=True
        )
        shell = scratch / "shell"
        made = subprocess.run(
            [ROOT / "ci/kernel.sh", architecture, suite],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        kernel = Path(made.stdout.strip())
        self._qemu = subprocess.Popen(
            [
                *(*command, "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none"),
                *("-no-reboot", "-kernel", kernel / "kernel", "-initrd", kernel / "initrd"),
                # no getty, which would wait a minute and a half for udev to show it the console
                "-append",
                f"console={_CONSOLE[architecture]} panic=-1 systemd.getty_auto=no {parameters}",
                *("-drive", f"file={self.disk},format=raw,if=virtio,cache=unsafe"),
                *("-serial", f"file:{self.console}"),
                *("-netdev", "user,id=host", "-device", "virtio-net-pci,netdev=host"),
                *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
                *("-chardev", f"socket,id=shell,path={shell},server=on,wait=off"),
                *("-device", "virtserialport,chardev=shell,name=shell"),
            ]
        )
        try:
            self._socket, self._from = self._connect(shell)
        except BaseException:
            self._end()
            raise

    def _connect(self, path: Path) -> tuple[socket.socket, IO[bytes]]:
        """A connection to the shell, as soon as it is there."""
        deadline = time.monotonic() + _BOOT_SECONDS
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._qemu.poll() is None, "qemu has ended"
                assert time.monotonic() < deadline
                time.sleep(0.1)
        connection.settimeout(_BOOT_SECONDS)
        file = connection.makefile("rb")
        try:
            first = file.readline()
        except TimeoutError:
            first = b""
        assert first == b"ready\n", self.console.read_text(errors="replace")[-5000:]
        connection.settimeout(_SCRIPT_SECONDS)
        return connection, file

    def run(self, text: str) -> tuple[int, str]:
        """A script's exit code, and what it printed."""
        script = text.encode()
        self._socket.sendall(b"%d\n%b" % (len(script), script))
        code, length = self._from.readline().split()
        return int(code), self._from.read(int(length)).decode(errors="replace")

    def script(self, text: str) -> str:
        """What a script printed that must succeed."""
        code, said = self.run(text)
        assert code == 0, f"exit {code}\n{text}\n{said}"
        return said

    def _end(self) -> None:
        self._qemu.kill()
        self._qemu.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._from.close()
        self._socket.close()
        self._end()

"""Containers whose PID 1 is a real init. Knows podman and docker; does not know pdagent."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import Literal

Family = Literal["deb", "rpm"]
Init = Literal["systemd", "sysv"]

RUN = {
    # Without SYS_ADMIN a service starts unconfined, and a test of its sandbox proves nothing.
    ("podman", "systemd"): ["--systemd=always", "--cap-add=SYS_ADMIN,SYS_PTRACE"],
    ("podman", "sysv"): ["--systemd=false", "--tmpfs=/run", "--cap-add=SYS_BOOT,SYS_PTRACE"],
    ("docker", "systemd"): ["--privileged", "--cgroupns=private", "--tmpfs=/run"],
    ("docker", "sysv"): ["--tmpfs=/run", "--cap-add=SYS_BOOT", "--cap-add=SYS_PTRACE"],
}


@dataclass(frozen=True)
class Spec:
    """A kind of host."""

    name: str
    family: Family
    init: Init
    image: str

    @property
    def kinds(self) -> set[str]:
        return {self.name, self.family, self.init}


def specs(variable: str) -> list[Spec]:
    """The hosts that ci/hosts/run.sh made ready and named there, none if it did not."""
    lines = os.environ.get(variable, "").splitlines()
    return [Spec(*line.split()) for line in lines]  # type: ignore[arg-type]


class Engine:
    """Starts and ends containers, on a network from which this machine alone can be reached."""

    def __init__(self, label: str) -> None:
        self.program = os.environ.get("PDAGENT_ENGINE", "podman")
        self.label = f"pdagent-{label}"
        self._count = 0
        self("network", "create", "--internal", self.label)
        found = re.search(r'"[Gg]ateway": "([0-9.]+)"', self("network", "inspect", self.label))
        assert found, "the network has no gateway"
        self.gateway = found[1]

    def __call__(self, *args: str) -> str:
        """Run the engine's program; its standard output."""
        done = subprocess.run([self.program, *args], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.program} {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self, image: str, init: Init, names: list[str]) -> str:
        """A container that boots; `names` lead to this machine. Its name."""
        self._count += 1
        container = f"{self.label}-{self._count}"
        hosts = [f"--add-host={name}:{self.gateway}" for name in names]
        options = [f"--name={container}", f"--network={self.label}", "--pull=never", *hosts]
        # nobody answers for other names, and some programs ask for each name's IPv6 address, too
        options += ["--dns-opt=timeout:1", "--dns-opt=attempts:1"]
        options += RUN[self.program, init] + shlex.split(os.environ.get("PDAGENT_RUN_OPTIONS", ""))
        self("run", "--detach", *options, image, "/sbin/init")
        return container

    def restart(self, container: str, init: Init) -> None:
        """Shut down and boot again. SysV's init has no signal for it."""
        if init == "systemd":
            self("stop", "--time=30", container)
        else:
            self("exec", container, "telinit", "0")
            self("wait", container)
        self("start", container)

    def commit(self, container: str, image: str) -> str:
        self("commit", "--quiet", container, image)
        return image

    def remove(self, container: str) -> None:
        self("rm", "--force", "--time=0", "--volumes", container)

    def close(self) -> None:
        self("network", "rm", "--force", self.label)

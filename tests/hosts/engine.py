"""Containers whose PID 1 is a real init. Knows podman and docker; does not know pdagent."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from typing import Any, Literal

import testinfra.host
from testinfra.backend.base import BaseBackend, CommandResult

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
        """A container that boots; `names` lead to this machine. Its id."""
        self._count += 1
        hosts = [f"--add-host={name}:{self.gateway}" for name in names]
        options = [f"--name={self.label}-{self._count}", f"--network={self.label}", *hosts]
        # nobody answers for other names, and some programs ask for each name's IPv6 address, too
        options += ["--pull=never", "--dns-opt=timeout:1", "--dns-opt=attempts:1"]
        options += RUN[self.program, init] + shlex.split(os.environ.get("PDAGENT_RUN_OPTIONS", ""))
        return self("run", "--detach", *options, image, "/sbin/init")

    def seen_by(self, container: str, user: str) -> testinfra.host.Host:
        """A container as testinfra sees it, which runs its commands there as `user`."""
        if "PDAGENT_LAB" in os.environ:
            return testinfra.host.Host(_Runtime(container, user))
        return testinfra.get_host(f"{self.program}://{user}@{container}")

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


class _Runtime(BaseBackend):  # type: ignore[misc]
    """Runs commands by the lab's runtime. podman asks it for the same, and takes three times as
    long over that: a third of all that the tests on hosts cost."""

    NAME = "runc"
    AS_USER = """HOME=$(getent passwd "$1" | cut -d: -f6) exec setpriv --reuid="$1" \\
        --regid="$(id -g "$1")" --init-groups /bin/sh -c "$2\""""

    def __init__(self, container: str, user: str) -> None:
        super().__init__(container)
        self._user = user

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        command = self.get_command(command, *args)
        words = ["runc", "exec", self.hostname, "/bin/sh", "-c", command]
        if self._user != "root":
            words[-1:] = [self.AS_USER, "sh", self._user, command]
        return self.run_local(f"{shlex.join(words)} </dev/null")

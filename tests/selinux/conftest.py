"""A machine whose SELinux enforces Debian's policy, with the packages to install on it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.events import KEY
from tests.support.frozen import ROOT
from tests.support.machine import Machine, prepare

# Lets the tests' shell, which systemd started, run a shell in any domain. Elsewhere login programs,
# cron and services do that, each by a way of its own.
ANY_DOMAIN = """
(allow initrc_t domain (process (transition)))
(allow domain initrc_t (process (sigchld)))
(allow domain initrc_t (fd (use)))
(allow domain initrc_t (fifo_file (append getattr ioctl read write)))
(allow domain shell_exec_t (file (entrypoint execute getattr map open read)))
"""
RUNNING = """
    tries=300
    until systemctl is-active pdagent; do
        sleep 1
        [ $((tries -= 1)) -gt 0 ] || { systemctl status pdagent; exit 1; }
    done
"""


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root file system, with the packages of now and of the next version in /packages, and its
    files labelled."""
    made = subprocess.run(
        [ROOT / "ci/hosts/rootfs.sh", "selinux"], check=True, stdout=subprocess.PIPE, text=True
    )
    work = tmp_path_factory.mktemp("selinux")
    root = work / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", made.stdout.strip()], check=True)
    subprocess.run(
        [ROOT / "ci/packages.sh", root / "packages/next"],
        check=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "VERSION": "3.0.1", "ARCHES": "amd64"},
    )
    for package in (*(ROOT / "dist").glob("*_amd64.deb"), *(ROOT / "dist").glob("*_all.deb")):
        (root / "packages" / package.name).write_bytes(package.read_bytes())
    prepare(root)
    (root / "etc/selinux/config").write_text("SELINUX=enforcing\nSELINUXTYPE=default\n")
    (root / "packages/anydomain.cil").write_text(ANY_DOMAIN)
    for command in (
        "semodule --noreload --install /packages/anydomain.cil",
        "setfiles -F /etc/selinux/default/contexts/files/file_contexts /",
    ):
        subprocess.run(["chroot", root, *command.split()], check=True)
    yield root
    subprocess.run(["rm", "-rf", root], check=True)


class Host:
    """The machine with the agent on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @property
    def domain(self) -> str:
        """The daemon's."""
        return self.machine.script(
            "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID pdagent)/attr/current"
        ).removesuffix(":s0\n")

    def install(self, packages: str) -> None:
        self.machine.script(f"dpkg --install {packages}; {RUNNING}")

    def configure(self, **settings: str) -> None:
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        self.machine.script(f"""
            printf '[Main]\\n{lines}' >/etc/pdagent.conf.d/test.conf
            systemctl restart pdagent
            {RUNNING}
        """)

    def run_as(self, context: str, command: str, user: str = "nobody") -> tuple[int, str]:
        """A command's exit code and output in some domain, which may not write to the tests'
        files: so there is a pipe."""
        return self.machine.run(f"""
            {{ setpriv --reuid {user} --regid $(id -g {user}) --clear-groups \\
                runcon {context}:s0 sh -c '{command}' 2>&1 || echo "exit $?"; }} | cat >/run/output
            cat /run/output
            ! grep -q '^exit [0-9]*$' /run/output
        """)

    def send(self, context: str, text: str) -> None:
        code, said = self.run_as(context, f'pd-send -k {KEY} -t trigger -d "{text}"')
        assert code == 0, said

    def delivered(self) -> None:
        self.machine.script(f"""
            tries=120
            until pd-queue status | grep -Eq '{KEY} +0 '; do
                sleep 0.5
                [ $((tries -= 1)) -gt 0 ] || {{ journalctl --unit pdagent; dmesg; exit 1; }}
            done
        """)

    def deliver(self, text: str) -> None:
        self.send("unconfined_u:unconfined_r:unconfined_t", text)
        self.delivered()


class Confined(Host):
    """It, with the policy."""

    def denied(self) -> list[str]:
        """What of the agent's SELinux denied."""
        found = [line for line in self.machine.script("dmesg").splitlines() if "avc:" in line]
        return [line for line in found if "pdagent" in line or 'comm="pd-' in line]

    def forget(self) -> None:
        """What a test had denied on purpose."""
        self.machine.script("dmesg --clear")


@pytest.fixture(scope="session")
def host(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Machine(
        root, "amd64", "trixie", tmp_path_factory.mktemp("machine"), "security=selinux"
    ) as machine:
        host = Host(machine)
        # all that is denied is to be seen
        machine.script("sysctl -qw kernel.printk_ratelimit=0; [ $(getenforce) = Enforcing ]")
        host.install("/packages/pdagent_*_amd64.deb")
        yield host


@pytest.fixture(scope="session")
def confined(host: Host) -> Confined:
    host.install("/packages/pdagent-selinux_*.deb")
    return Confined(host.machine)

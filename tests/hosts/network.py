"""Ways out of a host that has no direct one."""

import subprocess

from tests.hosts.host import Host

# An address of this machine's. Asked directly, a host finds itself there.
FAR = "127.0.0.2"

ANCHORS = {
    "systemd": "ExecStartPre=/bin/chown -R pdagent:pdagent /var/run/pdagent",
    "sysv": "PID_FILE=$PID_DIR/pdagentd.pid",
}


def settings(url: str) -> list[str]:
    return [f"http_proxy={url}", f"https_proxy={url}"]


def add_proxy_lines(host: Host, url: str) -> str:
    """The guide's two lines, after the line that it names. The file that they went to."""
    anchor = ANCHORS[host.spec.init]
    if host.spec.init == "systemd":
        file = host.sh("systemctl show --property=FragmentPath pdagent").split("=")[1]
        lines = [f'Environment="{setting}"' for setting in settings(url)]
    else:
        file = "/etc/init.d/pdagent"
        lines = ["", *(f"export {setting}" for setting in settings(url))]
    text = "\\n".join(lines)
    host.sh(f"grep -qxF '{anchor}' {file}; sed -i '\\|^{anchor}$|a \\{text}' {file}")
    return file


class Islands:
    """Network namespaces from which a host can be reached, and nothing else: each has one link to
    a bridge of the host's, and no route beyond. Made and entered from outside, as root."""

    ADDRESS = "10.77.0.1"  # the host's, on the bridge

    def __init__(self, host: Host) -> None:
        self._pid = host.engine("inspect", "--format", "{{.State.Pid}}", host.container)
        self._names: list[str] = []
        self._on_host("ip link add islands type bridge")
        self._on_host(f"ip address add {self.ADDRESS}/24 dev islands")
        self._on_host("ip link set islands up")

    def add(self) -> str:
        """One more; its name."""
        number = len(self._names) + 1
        name = f"island{number}"
        _run(f"ip netns add {name}")
        self._names.append(name)
        _run(f"ip link add {name} netns {self._pid} type veth peer name sea netns {name}")
        self._on_host(f"ip link set {name} master islands up")
        for command in ("link set lo up", f"address add 10.77.0.{number + 1}/24 dev sea"):
            _run(f"ip -n {name} {command}")
        _run(f"ip -n {name} link set sea up")
        return name

    def command(self, name: str | None, script: str, user: str = "") -> list[str]:
        """How to run a script of the host's on that island, None: on the host itself."""
        net = "--net" if name is None else f"--net=/run/netns/{name}"
        host = f"nsenter --target={self._pid} --mount --uts --ipc --pid {net}"
        become = f"setpriv --reuid={user} --regid={user} --init-groups" if user else ""
        return [*host.split(), *become.split(), "bash", "-c", script]

    def close(self) -> None:
        for name in self._names:
            _run(f"ip netns delete {name}")
        self._on_host("ip link delete islands")

    def _on_host(self, command: str) -> None:
        _run(f"nsenter --target={self._pid} --net {command}")


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)

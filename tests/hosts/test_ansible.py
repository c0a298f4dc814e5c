"""Ansible's role, by the real ansible-playbook over SSH, on hosts that have never seen the agent.

`make fleet` runs this: it has Ansible in an environment of its own.
"""

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi

REPOSITORY = Path(__file__).parents[2]
TOOLS = os.environ.get("PDAGENT_FLEET", "")
OTHER = KEY[::-1]

pytestmark = [
    pytest.mark.skipif(not TOOLS, reason="`make fleet` brings Ansible"),
    pytest.mark.only("ansible-deb", "ansible-rpm"),
]


@dataclass
class Play:
    """What a run said."""

    code: int
    output: str
    changed: int = field(init=False)

    def __post_init__(self) -> None:
        recap = re.search(r"ok=\d+ +changed=(\d+)", self.output)
        self.changed = int(recap[1]) if recap else -1


class Controller:
    """The machine from which Ansible runs, and its one host."""

    def __init__(self, directory: Path, host: Host) -> None:
        self._directory = directory
        self._sockets = tempfile.TemporaryDirectory(prefix="ssh-")  # their paths must be short
        key = directory / "key"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(command, check=True)
        host.sh(f"""
            install -d -m 0700 /root/.ssh
            echo '{key.with_suffix(".pub").read_text().strip()}' >/root/.ssh/authorized_keys
            chmod 600 /root/.ssh/authorized_keys
            systemctl start ssh""")
        found = json.loads(host.engine("inspect", host.container))[0]
        address = found["NetworkSettings"]["Networks"][host.engine.label]["IPAddress"]
        (directory / "inventory").write_text(
            f"[agents]\nhost ansible_host={address} ansible_user=root ansible_become=false "
            f"ansible_ssh_private_key_file={key} ansible_python_interpreter=/usr/bin/python3\n"
        )

    def play(self, variables: dict[str, object], *options: str) -> Play:
        (self._directory / "variables.json").write_text(json.dumps(variables))
        command = [
            *(f"{TOOLS}/bin/ansible-playbook", "--diff", "-i", f"{self._directory}/inventory"),
            *("-e", f"@{self._directory}/variables.json", *options),
            str(REPOSITORY / "packaging/ansible/site.yml"),
        ]
        environment = {
            "PATH": f"{TOOLS}/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self._directory),
            "ANSIBLE_HOME": str(self._directory / "ansible"),
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": self._sockets.name,
        }
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=self._directory,
            timeout=300,
        )
        return Play(done.returncode, done.stdout)


def test_the_role(bare: Host, packages_url: str, api: EventsApi, tmp_path: Path) -> None:
    """From nothing to a delivered event; a second run changes nothing; a changed key is in use
    after a reload; a check says what a run would do, and does nothing; a mistake is refused before
    it is in its place; no key is shown."""
    host = bare
    host.sh("useradd -m alice")
    # Ansible reads there that an rpm host of ours stands on Debian's user land, and would take apt.
    if host.spec.family == "rpm":
        host.sh("sed -i '/^PRETTY_NAME=/d' /etc/os-release; rm -f /etc/debian_version")
    controller = Controller(tmp_path, host)
    settings: dict[str, object] = {
        "events_url": f"http://events.test:{api.port}",
        "listen": "127.0.0.1:49463",
        "direct_delivery": False,
    }
    variables: dict[str, object] = {
        "pdagent_repository_url": f"{packages_url}/current/pdagent",
        "pdagent_repository_key_url": f"{packages_url}/current",
        "pdagent_settings": settings,
        "pdagent_keys": {"db": KEY},
        "pdagent_verify": True,
    }
    plays = [first := controller.play(variables, "--check")]
    assert first.code == 0, first.output
    assert first.changed > 0
    host.sh("! ls /usr/bin/pd-send /etc/pdagent.conf.d 2>/dev/null")

    plays.append(real := controller.play(variables))
    assert real.code == 0, real.output
    host.sh("pd-send -k @db -t trigger -d first -i 1", "alice")
    assert api.wait_accepted(1)[0].key == KEY
    assert host.service.is_enabled
    secrets = "/etc/pdagent.conf.d/60-ansible-secrets.conf"
    assert host.sh(f"stat -c '%a %U:%G' {secrets}") == "640 root:pdagent"
    host.sh("curl -sf -o /dev/null http://127.0.0.1:49463/ || [ $? = 22 ]")  # it answers 404

    for options in ((), ("--check",)):
        plays.append(again := controller.play(variables, *options))
        assert (again.code, again.changed) == (0, 0), again.output

    pid = host.service.pid
    variables["pdagent_keys"] = {"db": OTHER}
    plays.append(planned := controller.play(variables, "--check"))
    assert (planned.code, planned.changed > 0) == (0, True), planned.output
    host.sh(f"grep -q {KEY} {secrets}")
    plays.append(controller.play(variables))
    host.sh("pd-send -k @db -t trigger -d second -i 2", "alice")
    assert api.wait_accepted(2)[1].key == OTHER
    assert host.service.pid == pid

    before = host.sh("cat /etc/pdagent.conf.d/*")
    settings["max_connections"] = "many"
    plays.append(wrong := controller.play(variables))
    assert wrong.code == 2
    assert "failed to validate" in wrong.output
    assert "max_connections: must be" in " ".join(wrong.output.replace("\\n", " ").split())
    assert host.sh("cat /etc/pdagent.conf.d/*") == before
    assert host.service.pid == pid
    for play in plays:
        assert KEY not in play.output
        assert OTHER not in play.output

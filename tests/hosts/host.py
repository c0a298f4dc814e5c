"""A host as the tests hold it: a container, and what people type on it."""

import shlex

from testinfra.backend.base import CommandResult
from testinfra.host import Host as Testinfra

from tests.hosts import packages, service
from tests.hosts.engine import Engine, Spec

KEY = "65d9cd0e14c04dae8ef86867277d138c"
BOOTED = {
    "systemd": "systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'",
    "sysv": "runlevel | grep -q ' [2-5]$' && ! pgrep -x rc >/dev/null",
}


class Host:
    """A booted container. Each command costs its own time: scripts do much at once."""

    def __init__(self, engine: Engine, spec: Spec, image: str, names: list[str]) -> None:
        self.engine = engine
        self.spec = spec
        self.container = engine.start(image, spec.init, names)
        self.packages = packages.manager(spec.family, self.sh)
        self.service = service.service(spec.init, self.sh)
        self._users: dict[str, Testinfra] = {}
        self._wait_booted()

    def _wait_booted(self) -> None:
        self.until(BOOTED[self.spec.init])

    @property
    def testinfra(self) -> Testinfra:
        return self.as_user("root")

    def as_user(self, user: str) -> Testinfra:
        """The host, as testinfra sees it."""
        if user not in self._users:
            self._users[user] = self.engine.seen_by(self.container, user)
        return self._users[user]

    def run(self, script: str, user: str = "root") -> CommandResult:
        """Run a script, whatever comes of it."""
        return self.as_user(user).run(script)

    def sh(self, script: str, user: str = "root") -> str:
        """Run a script that must succeed; its standard output."""
        done = self.run(f"set -e\n{script}", user)
        if done.rc:
            said = f"{done.stdout}{done.stderr}"
            raise AssertionError(f"exit {done.rc} on {self.spec.name}\n{script.strip()}\n{said}")
        return str(done.stdout).strip()

    def until(self, condition: str, seconds: int = 120) -> None:
        """Until a shell condition holds on the host."""
        self.sh(f"""
            for _ in $(seq {seconds * 10}); do
                if {condition}
                then exit; fi
                sleep 0.1
            done
            echo 'not in {seconds} s:' {shlex.quote(condition)} >&2
            exit 1""")

    def reboot(self) -> None:
        self.engine.restart(self.container, self.spec.init)
        self._wait_booted()

    def remove(self) -> None:
        self.engine.remove(self.container)

    # the agent

    def follow_guide(self) -> None:
        """What the guide has people do after an installation from the yum repository."""
        if self.spec.family == "deb":
            return
        if self.spec.init == "systemd":
            self.sh("""
                cp /var/lib/pdagent/scripts/pdagent.service /etc/systemd/system/pdagent.service
                systemctl daemon-reload
                systemctl start pdagent""")
        else:
            self.service.start()

    def configure(self, **settings: str) -> None:
        """Edit /etc/pdagent.conf as a person would: where a key's line is, it is changed."""
        edit = """
            if grep -q '^[#; ]*{0} *=' /etc/pdagent.conf
            then sed -i 's|^[#; ]*{0} *=.*|{0} = {1}|' /etc/pdagent.conf
            else sed -i 's|^\\[Main\\]|&\\n{0} = {1}|' /etc/pdagent.conf
            fi"""
        self.sh("\n".join(edit.format(key, value) for key, value in settings.items()))

    def pd_send(self, dedup_key: str, text: str = "Server is on fire", user: str = "alice") -> str:
        """Trigger an incident as an ordinary user whose umask lets nobody else read."""
        command = shlex.join(["pd-send", "-k", KEY, "-t", "trigger", "-d", text, "-i", dedup_key])
        return self.sh(f"umask 077; {command}", user)

    def queue(self, state: str = "pdq") -> list[str]:
        return self.sh(f"ls /var/lib/pdagent/outqueue/{state}").split()

    def log(self) -> str:
        return self.sh("cat /var/log/pdagent/pdagentd.log")

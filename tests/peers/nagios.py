"""Nagios 4, driven through its external command file and by a plugin that says what it is told."""

from dataclasses import dataclass

from tests.hosts.host import KEY
from tests.peers.server import SAMPLES, Server

OK, WARNING, CRITICAL, UNKNOWN = range(4)
UP, DOWN = range(2)

FLAPPING = [f"flapping {number:03}" for number in range(200)]
# Services whose plugins print what shells, option parsers and formats may stumble over.
ODD = {
    "Füllstand": 'it\'s "full"; rm -rf /; Größe: 1 µm; 日本',
    "backslash": "ends in a backslash: C:\\",
    "shell": "$(touch /tmp/owned) `touch /tmp/owned` ${HOME} $HOSTNAME$ !! %s \\n *",
    "option": "--dry-run",
    "fields": "x=1; y=2 = 3",
    "lines": "first line\nsecond; 'line'\n\n\"fourth\" line",
}
# What is monitored: hosts, and their services.
INVENTORY = {"web1": ["disk"], "db1": [], "odd": list(ODD), "storm": FLAPPING}

# Prints the text that is in the file, and exits as its first line says.
PLUGIN = "/usr/local/bin/check_told"
TOLD = "/srv/told"


@dataclass(frozen=True)
class Result:
    """What a check found. Without a service it is about the host."""

    state: int
    output: str
    host: str
    service: str = ""

    @property
    def command(self) -> str:
        if not self.service:
            return f"PROCESS_HOST_CHECK_RESULT;{self.host};{self.state};{self.output}"
        where = f"{self.host};{self.service}"
        return f"PROCESS_SERVICE_CHECK_RESULT;{where};{self.state};{self.output}"


class Nagios(Server):
    """With hosts and services that are checked when a test says so, and paged about at once."""

    package = "nagios4-core"
    unit = "nagios4"
    log_file = "/var/log/nagios4/nagios.log"
    command_file = "/var/lib/nagios4/rw/nagios.cmd"

    def set_up(self) -> None:
        self.host.sh(f"""
            mkdir -p {TOLD}
            printf '#!/bin/sh\\ntail -n +2 "$1"\\nexit $(head -n 1 "$1")\\n' >{PLUGIN}
            chmod 755 {PLUGIN}
            {self.configuration()}
            systemctl restart {self.unit}""")
        self.host.until(f"[ -p {self.command_file} ]")

    def configuration(self) -> str:
        """The script of what the documentation has people do, and the inventory."""
        # The example host would page. The contact takes the place of the administrator's.
        return f"""
            cd /etc/nagios4
            sed -i /localhost.cfg/d nagios.cfg
            sed s/YOUR-INTEGRATION-KEY/{KEY}/ {SAMPLES}/pagerduty_nagios.cfg >conf.d/pagerduty.cfg
            sed -i 's/members .*/members pagerduty/' objects/contacts.cfg
            cat >conf.d/inventory.cfg <<'END'
{self.objects()}
END
            nagios4 -v nagios.cfg >/tmp/verified || {{ cat /tmp/verified; exit 1; }}"""

    def objects(self) -> str:
        told = " max_check_attempts 1\n active_checks_enabled 0\n flap_detection_enabled 0\n"
        command = f'command_name told\n command_line {PLUGIN} "{TOLD}/$SERVICEDESC$"'
        objects = [f"define command {{\n {command}\n}}"]
        for host, services in INVENTORY.items():
            contacts = "contact_groups admins"
            objects += [
                f"define host {{\n use generic-host\n host_name {host}\n {contacts}\n{told}}}"
            ]
            objects += [
                f"define service {{\n use generic-service\n host_name {host}\n"
                f" service_description {service}\n check_command told\n{told}}}"
                for service in services
            ]
        return "\n".join(objects)

    def command(self, *commands: str) -> None:
        """Hand over external commands, all at once."""
        lines = "\n".join(commands)
        self.host.sh(f"""
            sed "s/^/[$(date +%s)] /" >/tmp/commands <<'END'
{lines}
END
            cat /tmp/commands >{self.command_file}""")

    def submit(self, *results: Result) -> None:
        """Passive results of checks, all at once."""
        self.command(*(result.command for result in results))

    def check(self, *results: Result) -> None:
        """Active checks, by the plugin, all at once."""
        told = [
            f"cat >'{TOLD}/{result.service}' <<'END'\n{result.state}\n{result.output}\nEND"
            for result in results
        ]
        self.host.sh("\n".join(told))
        where = (f"{result.host};{result.service}" for result in results)
        self.command(*(f"SCHEDULE_FORCED_SVC_CHECK;{each};0" for each in where))

    def shown(self, output: str) -> str:
        """What a notification has of a plugin's output: one line, less illegal_macro_output_chars,
        and with what separates its external commands made harmless."""
        return output.splitlines()[0].translate(str.maketrans(";", ":", "`~$&|'\"<>"))

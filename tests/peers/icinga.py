"""Icinga 2, which takes Nagios' external commands and has objects of its own."""

from tests.hosts.host import KEY
from tests.peers.nagios import INVENTORY, PLUGIN, TOLD, Nagios
from tests.peers.server import SAMPLES

COMMAND = f"""
object CheckCommand "told" {{
  command = [ "{PLUGIN}", "{TOLD}/$service.name$" ]
}}
"""
TOLD_ONLY = "max_check_attempts = 1; enable_active_checks = false"


class Icinga(Nagios):
    package = "icinga2-bin"
    unit = "icinga2"
    log_file = "/var/log/icinga2/icinga2.log"
    command_file = "/run/icinga2/cmd/icinga2.cmd"

    def configuration(self) -> str:
        # The example hosts would page.
        return f"""
            cd /etc/icinga2
            rm conf.d/hosts.conf
            icinga2 feature enable command >/dev/null
            sed s/YOUR-INTEGRATION-KEY/{KEY}/ {SAMPLES}/pagerduty-icinga2.conf \\
                >conf.d/pagerduty.conf
            cat >conf.d/inventory.conf <<'END'
{self.objects()}
END
            icinga2 daemon -C >/tmp/verified || {{ cat /tmp/verified; exit 1; }}"""

    def objects(self) -> str:
        objects = [COMMAND]
        for host, services in INVENTORY.items():
            objects += [f'object Host "{host}" {{ check_command = "dummy"; {TOLD_ONLY} }}']
            objects += [
                f'object Service "{service}" {{ host_name = "{host}"; check_command = "told";'
                f" {TOLD_ONLY} }}"
                for service in services
            ]
        return "\n".join(objects)

    def shown(self, output: str) -> str:
        """All of it: there is no shell between Icinga and its notification commands."""
        return output

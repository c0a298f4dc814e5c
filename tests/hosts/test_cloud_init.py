"""docs/cloud-init.yaml, by cloud-init itself, on a host that boots for the first time."""

import os
from pathlib import Path

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi

EXAMPLE = Path(__file__).parents[2] / "docs/cloud-init.yaml"
SEED = "/var/lib/cloud/seed/nocloud"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("PDAGENT_FLEET"), reason="`make fleet` runs it"),
    pytest.mark.only("ansible-deb"),
]


def test_a_new_machine(bare: Host, packages_url: str, api: EventsApi) -> None:
    """The schema finds nothing wrong; the modules bring the agent, its configuration and its key,
    and an event by the key's name is delivered."""
    host = bare
    data = EXAMPLE.read_text().replace("https://packages.pagerduty.com", f"{packages_url}/current")
    data = data.replace("service_region = us", f"events_url = http://events.test:{api.port}")
    host.sh(f"""
        useradd -m alice
        mkdir -p {SEED}
        cat >{SEED}/user-data <<'END'
{data}
END
        echo 'instance-id: new' >{SEED}/meta-data
        # what belongs to a cloud's image, not to the example: where its data and packages are from
        cat >/etc/cloud/cloud.cfg.d/99-test.cfg <<'END'
datasource_list: [NoCloud]
network: {{config: disabled}}
apt: {{preserve_sources_list: true}}
END
        cloud-init schema --config-file {SEED}/user-data
        cloud-init init --local >/dev/null
        cloud-init init >/dev/null
        cloud-init modules --mode=config >/dev/null
        cloud-init modules --mode=final >/dev/null""")
    assert host.service.is_running
    assert host.service.is_enabled
    host.sh("pd-send -k @db -t trigger -d first -i 1", "alice")
    assert api.wait_accepted(1)[0].key == KEY
    keys = "/etc/pdagent.conf.d/60-keys.conf"
    assert host.sh(f"stat -c '%a %U:%G' {keys}") == "640 root:pdagent"
    assert host.sh("cloud-init status --format=json | grep -c '\"errors\": \\[\\]'") != "0"

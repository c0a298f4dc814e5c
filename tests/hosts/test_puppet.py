"""The manifest of docs/fleets.md, by Puppet itself, on a host that has never seen the agent.

`make fleet` runs this, on the host that has Puppet.
"""

import os

import pytest

from tests.hosts.host import KEY, Host
from tests.support.documents import REPOSITORY, blocks
from tests.support.events_api import EventsApi

OTHER = KEY[::-1]
PLACE = "/root/puppet"
DONE, CHANGED = 0, 2  # of --detailed-exitcodes; 4 and 6 are failures

pytestmark = [
    pytest.mark.skipif(not os.environ.get("PDAGENT_FLEET"), reason="`make fleet` runs it"),
    pytest.mark.only("ansible-deb"),
]


def manifest() -> str:
    page = blocks(REPOSITORY / "docs/fleets.md")
    (text,) = (block.text for block in page if block.text.startswith("package { ['pdagent'"))
    return str(text)


class Puppet:
    """Puppet on the host, and what each run said."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.said = ""
        self.write("hiera.yaml", "version: 5\nhierarchy: [{name: keys, path: keys.yaml}]\n")

    def write(self, name: str, text: str) -> None:
        self._host.sh(f"mkdir -p {PLACE}/data; cat >{PLACE}/{name} <<'END'\n{text}\nEND")

    def apply(self, *options: str) -> int:
        hiera = f"--hiera_config {PLACE}/hiera.yaml"
        done = self._host.run(
            f"puppet apply --detailed-exitcodes --show_diff --color false {hiera} "
            f"{' '.join(options)} {PLACE}/site.pp 2>&1"
        )
        self.said += done.stdout
        return int(done.rc)


def test_the_manifest(bare: Host, packages_url: str, api: EventsApi) -> None:
    """From nothing to a delivered event; a second run changes nothing; a changed key is in use
    after a reload; a mistake stays out; no key is shown."""
    host = bare
    host.sh("useradd -m alice")
    host.packages.add_repository(f"{packages_url}/current/pdagent")
    host.sh("apt-get -q=2 update")
    puppet = Puppet(host)
    text = manifest().replace("service_region = eu", f"events_url = http://events.test:{api.port}")
    puppet.write("site.pp", text)
    puppet.write("data/keys.yaml", f"pagerduty_db_key: {KEY}")
    host.sh(f"puppet parser validate {PLACE}/site.pp")
    assert puppet.apply() == CHANGED, puppet.said
    host.sh("pd-send -k @db -t trigger -d first -i 1", "alice")
    assert api.wait_accepted(1)[0].key == KEY
    assert host.service.is_enabled
    assert puppet.apply() == DONE, puppet.said

    pid = host.service.pid
    puppet.write("data/keys.yaml", f"pagerduty_db_key: {OTHER}")
    puppet.apply("--noop")
    assert host.sh("cat /etc/pdagent.conf.d/*").count(KEY) == 1
    assert puppet.apply() == CHANGED, puppet.said
    host.sh("pd-send -k @db -t trigger -d second -i 2", "alice")
    assert api.wait_accepted(2)[1].key == OTHER

    before = host.sh("cat /etc/pdagent.conf.d/*")
    puppet.write("site.pp", text.replace("[Main]\\n", "[Main]\\nmax_connections = many\\n"))
    assert puppet.apply() & 4, puppet.said
    assert host.sh("cat /etc/pdagent.conf.d/*") == before
    assert host.service.pid == pid
    assert KEY not in puppet.said
    assert OTHER not in puppet.said

"""The configuration on a host: in pieces, and taken up, or refused, by a reload."""

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi


@pytest.mark.latest
def test_a_refused_configuration_fails_the_reload(host: Host, api: EventsApi) -> None:
    """A package or a tool puts a piece there. A mistake in it is named with file and line, and
    changes nothing; once it is right, it is in use when the reload returns."""
    reload = "systemctl reload" if host.spec.init == "systemd" else "/etc/init.d/pdagent reload #"
    assert host.sh("stat -c '%a %U:%G' /etc/pdagent.conf.d") == "755 root:root"
    pid = host.service.pid
    host.sh("echo '[Keys] db' >/etc/pdagent.conf.d/50-keys.conf")
    refused = host.run(f"{reload} pdagent")
    assert refused.rc != 0
    said = refused.stderr
    if host.spec.init == "systemd":
        said = host.sh("journalctl --unit pdagent --no-pager --lines 20")
    assert "/etc/pdagent.conf.d/50-keys.conf, line 1: is neither" in said
    host.sh("! pdagent check --config-only")
    host.pd_send("still served")
    api.wait_accepted(1)

    host.sh(f"""
        printf '[Keys]\\ndb = {KEY}\\n' >/etc/pdagent.conf.d/50-keys.conf
        chgrp pdagent /etc/pdagent.conf.d/50-keys.conf
        chmod 640 /etc/pdagent.conf.d/50-keys.conf
        {reload} pdagent""")
    host.sh("pd-send -k @db -t trigger -d named -i named", "alice")
    assert api.wait_accepted(2)[1].key == KEY
    assert host.service.pid == pid

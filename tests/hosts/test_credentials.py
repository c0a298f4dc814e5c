"""Keys as credentials of systemd's: on the disk they are root's alone, or encrypted."""

import pytest

from tests.hosts.host import KEY, Host
from tests.hosts.service import Systemd
from tests.support.events_api import EventsApi

STORE = "/etc/credstore/pdagent.keys"
ENCRYPTED = "/etc/credstore.encrypted/pdagent.keys"


@pytest.fixture
def vault(host: Host) -> Host:
    """A host whose services get credentials: systemd mounts them in a namespace of its own, and a
    container's mounts do not spread as a machine's do."""
    host.sh("mount --make-rshared /")
    return host


@pytest.mark.only("deb-bookworm", "deb-trixie", "rpm-trixie")
def test_keys_that_nobody_but_the_service_can_read(vault: Host, api: EventsApi) -> None:
    """What lies in root's store of credentials gives names to keys, for every user; where it is
    missing, the check says what to do, events by name wait, and events by key go out."""
    host = vault
    host.configure(keys_file="credential:pdagent.keys")
    host.service.restart()
    send = "pd-send -k @db -t trigger -d named -i"
    host.sh(f"{send} 1", "alice")
    host.pd_send("by its key")
    api.wait_accepted(1)
    said = host.run("pdagent check")
    assert said.rc == 3
    assert f"Put it into {STORE}" in " ".join(said.stdout.split())

    host.sh(f"""
        install -d -m 0700 /etc/credstore
        (umask 077; printf '[Keys]\\ndb = {KEY[::-1]}\\n' >{STORE})""")
    if host.spec.name == "deb-bookworm":  # which has systemd 252
        assert isinstance(host.service, Systemd)
        host.service.override(f"LoadCredential=pdagent.keys:{STORE}")
    else:
        host.service.restart()
    assert [event.key for event in api.wait_accepted(2)] == [KEY, KEY[::-1]]
    host.sh(f"{send} 2", "alice")
    api.wait_accepted(3)
    host.until("pdagent check >/dev/null || [ $? = 1 ]")  # it warns of plain HTTP
    host.sh("! cat /run/credentials/pdagent.service/pdagent.keys", "alice")
    host.sh("! pdagent check --repair | grep 'credentials/'")  # which are none of its business


@pytest.mark.only("deb-trixie")
def test_keys_that_are_encrypted_on_the_disk(vault: Host, api: EventsApi) -> None:
    """With the host's own key; a TPM does the same."""
    host = vault
    host.configure(keys_file="credential:pdagent.keys")
    host.sh(f"""
        install -d -m 0700 /etc/credstore.encrypted
        printf '[Keys]\\ndb = {KEY}\\n' |
            systemd-creds encrypt --with-key=host --name=pdagent.keys - {ENCRYPTED} 2>&1
        ! grep -q {KEY} {ENCRYPTED}""")
    host.service.restart()
    host.sh("pd-send -k @db -t trigger -d named -i 1", "alice")
    assert api.wait_accepted(1)[0].key == KEY

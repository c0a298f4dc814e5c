"""pdagent check, metrics and health, through the installed package and its sandbox."""

import json

import pytest

from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi


def check(host: Host, options: str = "", user: str = "root") -> tuple[int, dict[str, str]]:
    """The exit code, and the level of what is not well."""
    done = host.run(f"pdagent check --json {options}", user)
    assert done.stderr == ""
    said = json.loads(done.stdout)
    levels = {finding["subject"]: finding["level"] for finding in said["findings"]}
    assert {"disk", "daemon", "events API", "clock", "package", "repository key"} <= levels.keys()
    wrong = {name: level for name, level in levels.items() if level in ("warning", "failed")}
    return done.rc, wrong


def test_check(host: Host, api: EventsApi) -> None:
    """On a host as installed only that its API speaks no TLS is warned of, whoever looks; a service
    that is stopped, and one that will not start with the host, are found."""
    well = (1, {"region": "warning"})
    assert check(host) == well
    assert check(host, user="alice") == well
    assert api.requests == ()
    assert check(host, f"--send-test -k {KEY}") == well
    assert [incident.state for incident in api.incidents] == ["resolved"]
    host.service.stop()
    host.service.disable()
    code, wrong = check(host)
    assert (code, wrong["daemon"]) == (3, "failed")
    if host.spec.init == "systemd":
        assert wrong["boot"] == "warning"


@pytest.mark.latest
def test_metrics(host: Host, api: EventsApi) -> None:
    """Served on loopback, and on a Unix socket in the service's own directory."""
    for address, curl in {
        "127.0.0.1:9110": "curl -fsS http://127.0.0.1:9110",
        "/run/pdagent/metrics.sock": "curl -fsS --unix-socket /run/pdagent/metrics.sock http://x",
    }.items():
        host.configure(metrics_listen=address)
        host.service.restart()
        host.pd_send(f"counted.by.{address[1:4]}")
        host.until(f"{curl}/metrics | grep -q '^pdagent_events_delivered_total 1.0'")
        health = json.loads(host.sh(f"{curl}/healthz", "alice"))
        assert (health["status"], health["destination"]) == ("ok", "reachable")

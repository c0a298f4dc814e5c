"""The commands of monitoring tools as these run them: the samples that the package ships, real
processes, and what PagerDuty gets."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import syslog
from tests.support.agent import Agent
from tests.support.events import KEY
from tests.support.events_api import EventsApi
from tests.support.users import SENDER

SAMPLES = Path(__file__).parents[2] / "packaging" / "integrations"
PLACE = "/usr/share/pdagent-integrations/bin/"
NAGIOS = ["-n", "host", "-f", "HOSTNAME=web1"]
ZABBIX = "name:Disk is full\nid:7\nhostname:db1\nstatus:PROBLEM\nseverity:High"
SENSU = {"action": "create", "client": {"name": "c1"}, "check": {"name": "chk", "output": "x"}}
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(agent: Agent) -> Run:
    """Runs a command line of a sample in a shell, as the monitoring tool does, as its user."""

    def run(line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        name = line.removeprefix(PLACE).split(" ")[0]
        assert line.startswith(PLACE + name), line
        command = shlex.join([*agent.command(name), "--config", str(agent.conf)])
        done = subprocess.run(
            ["sh", "-c", command + line.removeprefix(PLACE + name)],
            input=stdin,
            capture_output=True,
            env=agent.environment,
            cwd="/",
            **SENDER.popen(),
        )
        agent.said += done.stderr.decode("utf-8", "replace")
        return done

    return run


@pytest.fixture
def key_file(agent: Agent) -> Path:
    path = agent.root / "pagerduty.key"
    path.write_text(KEY + "\n")
    path.chmod(0o644)
    return path


def bodies(agent: Agent) -> list[dict[str, object]]:
    paths = [agent.spool / "pdq" / name for name in agent.names("pdq")]
    return [json.loads(path.read_bytes()) for path in paths]


def said(agent: Agent) -> list[tuple[object, object, object]]:
    return [
        (body["service_key"], body["event_type"], body["incident_key"]) for body in bodies(agent)
    ]


def nagios_line(name: str, macros: dict[str, str]) -> str:
    text = (SAMPLES / "pagerduty_nagios.cfg").read_text()
    found = re.search(rf"command_name +{name}\n +command_line +(.*)", text)
    assert found
    return re.sub(r"\$(\w+)\$", lambda macro: macros[macro[1]], found[1])


@pytest.mark.parametrize("output", ["CRITICAL - refused", "C:\\", "a\\\\ ; b\\", "", "-f x", "-"])
@pytest.mark.parametrize("by_file", [False, True])
def test_nagios_as_shipped(
    agent: Agent, run: Run, key_file: Path, output: str, by_file: bool
) -> None:
    """Whatever a plugin prints that Nagios lets through; the contact's pager is the key, or the
    file that holds it."""
    macros = {
        "CONTACTPAGER": str(key_file) if by_file else KEY,
        "NOTIFICATIONTYPE": "PROBLEM",
        "HOSTNAME": "web 1",
        "SERVICEDESC": "SSH",
        "SERVICESTATE": "CRITICAL",
        "SERVICEOUTPUT": output,
    }
    assert run(nagios_line("notify-service-by-pagerduty", macros)).returncode == 0
    macros |= {"NOTIFICATIONTYPE": "RECOVERY", "SERVICESTATE": "OK", "SERVICEOUTPUT": "fine"}
    assert run(nagios_line("notify-service-by-pagerduty", macros)).returncode == 0
    incident = "event_source=service;host_name=web 1;service_desc=SSH"
    assert said(agent) == [(KEY, "trigger", incident), (KEY, "resolve", incident)]
    details = bodies(agent)[0]["details"]
    assert isinstance(details, dict)
    assert details["SERVICEOUTPUT"] == output


def test_a_nagios_host_as_shipped(agent: Agent, run: Run) -> None:
    """Down is a page."""
    macros = {"CONTACTPAGER": KEY, "NOTIFICATIONTYPE": "PROBLEM", "HOSTNAME": "web1"}
    macros |= {"HOSTSTATE": "DOWN", "HOSTOUTPUT": "no route"}
    done = run(nagios_line("notify-host-by-pagerduty", macros))
    assert done.stdout == b"Event processed. Incident Key: event_source=host;host_name=web1\n"
    assert said(agent) == [(KEY, "trigger", "event_source=host;host_name=web1")]


def test_icinga_hands_over_what_is_needed() -> None:
    """Each macro that pd-nagios asks for is in the sample."""
    text = (SAMPLES / "pagerduty-icinga2.conf").read_text()
    service, host = re.findall(r"vars.pagerduty_fields = \[([^\]]*)\]", text)
    assert {"SERVICEDESC", "SERVICESTATE", "HOSTNAME"} <= set(re.findall(r'"(\w+)=', service))
    assert {"HOSTNAME", "HOSTSTATE"} <= set(re.findall(r'"(\w+)=', host))


def zabbix_messages() -> dict[str, str]:
    """The media type's messages, by subject."""
    text = (SAMPLES / "pagerduty_zabbix.yaml").read_text()
    found = re.findall(r"subject: (\w+)\n +message: \|\n((?: {12}.*\n)+)", text)
    return {subject: re.sub(r"(?m)^ +", "", message) for subject, message in found}


@pytest.mark.parametrize(
    ("subject", "action"),
    [("trigger", "trigger"), ("update", "acknowledge"), ("resolve", "resolve")],
)
def test_zabbix_as_shipped(
    agent: Agent, run: Run, key_file: Path, subject: str, action: str
) -> None:
    """All three messages are about one incident, which no other problem of the trigger has."""
    values = {"TRIGGER.ID": "7", "HOST.NAME": "db1", "EVENT.ID": "42"}
    values |= {
        "EVENT.NAME": "Disk is full: /var\nid:8\nNOTE:escalation cancelled\nupdate_action:closed"
    }
    values |= {"EVENT.NSEVERITY": "2", "EVENT.UPDATE.ACTION": "acknowledged and commented"}
    values |= {
        "EVENT.OPDATA": "a\nid:8",
        "EVENT.UPDATE.MESSAGE": "on it\nid:8\nupdate_action:closed",
    }
    message = zabbix_messages()[subject]
    body = re.sub(r"\{([A-Z.]+)\}", lambda macro: values.get(macro[1], "x"), message)
    line = f"{PLACE}pd-zabbix {shlex.join([str(key_file), subject, body])}"
    done = run(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert said(agent) == [(KEY, action, "7-db1-42")]
    assert set(zabbix_messages()) == {"trigger", "update", "resolve"}


@pytest.mark.parametrize(
    "sample", ["sensu_pagerduty_handler.json", "sensu_go_pagerduty_handler.yaml"]
)
def test_sensu_as_shipped(agent: Agent, run: Run, key_file: Path, sample: str) -> None:
    """The handler's command, with an event on its stdin."""
    found = re.search(r'command"?: "?([^"\n]+)', (SAMPLES / sample).read_text())
    assert found
    line = found[1].replace("/etc/sensu/pagerduty.key", str(key_file))
    assert line != found[1]
    done = run(line, json.dumps(SENSU).encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert said(agent) == [(KEY, "trigger", "c1/chk")]


def test_all_the_way(agent: Agent, api: EventsApi, run: Run) -> None:
    """From the three commands to PagerDuty: v1, in order."""
    agent.start()
    for notification, state in (
        ("PROBLEM", "DOWN"),
        ("ACKNOWLEDGEMENT", "DOWN"),
        ("RECOVERY", "UP"),
    ):
        arguments = ["-k", KEY, "-t", notification, *NAGIOS, "-f", f"HOSTSTATE={state}"]
        agent.run("pd-nagios", *arguments, user=SENDER, check=True)
    agent.run("pd-zabbix", KEY, "PROBLEM", ZABBIX, user=SENDER, check=True)
    assert run(f"{PLACE}pd-sensu -k {KEY}", json.dumps(SENSU).encode()).returncode == 0
    api.wait_accepted(5)
    got = [((r.event or {}).get("event_type"), r.dedup_key) for r in api.accepted]
    host = "event_source=host;host_name=web1"
    assert got[:3] == [("trigger", host), ("acknowledge", host), ("resolve", host)]
    assert sorted(got[3:]) == [("trigger", "7-db1"), ("trigger", "c1/chk")]


PLAIN = {
    "pd-nagios": ["-t", "PROBLEM", *NAGIOS, "-f", "HOSTSTATE=DOWN"],
    "pd-zabbix": ["trigger", ZABBIX],
}


# a key where it should not stand
WRONG = {"pd-nagios": ["-t", KEY], "pd-zabbix": ["one", KEY]}


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_the_key_need_not_show(agent: Agent, key_file: Path, name: str) -> None:
    """By a file, or the environment."""
    options = ["--service-key-file", str(key_file)]
    agent.run(name, *options, *PLAIN[name], user=SENDER, check=True)
    environment = {"PD_SERVICE_KEY": KEY}
    agent.run(name, *PLAIN[name], user=SENDER, environment=environment, check=True)
    assert [body["service_key"] for body in bodies(agent)] == [KEY, KEY]


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_dry_run(agent: Agent, name: str) -> None:
    """Shows the body, queues nothing."""
    environment = {"PD_SERVICE_KEY": KEY}
    done = agent.run(name, "--dry-run", *PLAIN[name], user=SENDER, environment=environment)
    assert json.loads(done.stdout)["event_type"] == "trigger"
    assert agent.names("pdq") == []


def test_version_and_help(agent: Agent) -> None:
    """For all three."""
    for name in ("pd-nagios", "pd-zabbix", "pd-sensu"):
        assert agent.run(name, "--version").stdout.startswith(b"pdagent 3.")
        assert agent.run(name, "-h").stdout.startswith(b"usage: " + name.encode())


@pytest.mark.parametrize("name", sorted(PLAIN))
@pytest.mark.parametrize(
    ("break_it", "code", "says"),
    [
        (True, 75, b": cannot write to "),
        (False, 2, b". Nothing was sent; "),
    ],
)
def test_failures_are_logged(
    agent: Agent, name: str, break_it: bool, code: int, says: bytes
) -> None:
    """Nobody reads a notification command's stderr. The key is in none of it."""
    agent.configure(direct_delivery="off")
    if break_it:
        (agent.spool / "tmp").rmdir()
    arguments = PLAIN[name] + ([] if break_it else WRONG[name])
    done, line = syslog.run(agent, name, arguments, {"PD_SERVICE_KEY": KEY})
    assert done.returncode == code, done
    assert line.startswith(b"<11>" + name.encode() + b"[")
    assert says in line
    assert KEY.encode() not in line

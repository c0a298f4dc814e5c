"""`pdagent check` on agents in all states: real daemons, TLS, proxies and terminals."""

import json
import os
import pty
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.agent import UNREAD, Agent, wait_until
from tests.support.events import KEY, sent
from tests.support.events_api import Answer, CertificateAuthority, EventsApi
from tests.support.faults import LINK, tracing
from tests.support.proxies import PASSWORD, Tinyproxy
from tests.support.users import AGENT, ROOT, SENDER, User

ORDER = ["ok", "unknown", "warning", "failed"]
WRONG = ("warning", "failed")


class Result:
    """What a check said, by subject: the worst line's level and text."""

    def __init__(self, agent: Agent, *arguments: str, user: User | None = None) -> None:
        done = agent.run("pdagent", "check", "--json", *arguments, user=user)
        assert done.stderr == b""
        said = json.loads(done.stdout)
        assert said["schema"] == "pdagent.check/1"
        lines = sorted(said["findings"], key=lambda line: ORDER.index(line["level"]))
        assert all(line["remedy"] for line in lines if line["level"] in WRONG)
        self.code = done.returncode
        self.level = {line["subject"]: line["level"] for line in lines}
        self.text = {line["subject"]: line["text"] for line in lines}

    @property
    def wrong(self) -> dict[str, str]:
        return {name: level for name, level in self.level.items() if level in WRONG}


def test_all_is_well(tls_api: EventsApi, agent: Agent) -> None:
    """A daemon that runs, over TLS: nothing is wrong, exit code 0, and no event was sent."""
    agent.configure(events_url=tls_api.url, ca_file=tls_api.ca_file)
    agent.start()
    found = Result(agent)
    assert found.wrong == {}
    assert found.code == 0
    for subject in ("daemon", "disk", "queue", "DNS", "events API", "TLS", "CA bundle", "clock"):
        assert found.level[subject] == "ok"
    assert "the chain is verified" in found.text["TLS"]
    assert tls_api.requests == ()
    assert agent.names("pdq") == agent.names("suc") == []


def test_anybody_may_look(tls_api: EventsApi, agent: Agent) -> None:
    """A user without rights learns whether the daemon answers, and what it was not shown."""
    if not ROOT:
        pytest.skip("only root can become somebody else")
    agent.configure(events_url=tls_api.url, ca_file=tls_api.ca_file)
    agent.start()
    found = Result(agent, user=SENDER)
    assert found.wrong == {}
    assert found.code == 0
    assert found.level["daemon"] == found.level["TLS"] == "ok"
    assert found.level["queue"] == found.level["rate limits"] == "unknown"
    assert str(agent.spool / "pdq") in found.text["queue"]
    agent.conf.chmod(0o600)
    assert Result(agent, user=SENDER).level["configuration"] == "unknown"


def test_no_daemon(agent: Agent) -> None:
    """One that was stopped, and one that was killed, have failed."""
    agent.start()
    assert agent.end(signal.SIGKILL) == -signal.SIGKILL
    assert "does not run" in Result(agent).text["daemon"]
    agent.start()
    assert agent.stop() == 0
    stopped = Result(agent)
    assert (stopped.level["daemon"], stopped.code) == ("failed", 3)


@pytest.mark.parametrize(("words", "code"), [((), 3), (("--json",), 3), (("--nagios",), 2)])
def test_nobody_reads_what_it_says(agent: Agent, words: tuple[str, ...], code: int) -> None:
    """The exit code is the same."""
    assert agent.run("pdagent", "check", *words, under=UNREAD).returncode == code


def test_nothing_is_reached(api: EventsApi, agent: Agent) -> None:
    """Where the way ends is one failure; what can't be known for that is no second one."""
    api.stop()
    agent.start()
    found = Result(agent)
    assert found.wrong == {"events API": "failed"}
    assert "Connection refused" in found.text["events API"]
    assert found.code == 3


@pytest.mark.parametrize(("status", "body"), [(500, "{}"), (520, "{}"), (451, "blocked")])
def test_an_answer_that_takes_no_event(
    api: EventsApi, agent: Agent, status: int, body: str
) -> None:
    """Whoever is in trouble, or speaks in other words than PagerDuty, would take no event."""
    api.always(None, Answer(status, body, {"Content-Type": "text/plain"}))
    agent.start()
    found = Result(agent)
    assert found.wrong == {"events API": "failed"}
    assert f"answered {status}" in found.text["events API"]
    assert found.code == 3


@pytest.mark.parametrize("status", [200, 202])
def test_an_answer_that_takes_all(api: EventsApi, agent: Agent, status: int) -> None:
    """Whoever says yes without looking may have dropped each event that it took."""
    api.always(None, Answer(status, {"status": "success"}))
    agent.start()
    found = Result(agent)
    assert found.wrong == {"events API": "warning"}
    assert "takes an event that says nothing" in found.text["events API"]


def test_unknown_authority(tls_api: EventsApi, agent: Agent) -> None:
    """A chain that does not hold is TLS's failure, in OpenSSL's words."""
    agent.configure(events_url=tls_api.url)
    agent.start()
    found = Result(agent)
    assert found.wrong == {"events API": "failed", "TLS": "failed"}
    assert "certificate verify failed" in found.text["TLS"]


def test_a_warning(agent: Agent) -> None:
    """A mistake that does not matter yet: exit code 1."""
    agent.conf.write_text(agent.conf.read_text() + "send_intervall_secs = 1\n")
    agent.start()
    found = Result(agent)
    assert (found.wrong, found.code) == ({"configuration": "warning"}, 1)


def test_rate_limits(api: EventsApi, agent: Agent) -> None:
    """A key that PagerDuty throttled shows with its last four characters."""
    api.script(KEY, Answer(429, headers={"Retry-After": "1"}))
    agent.start()
    agent.send(KEY, "trigger", "-d", "too much")
    api.wait_accepted(1)
    # the daemon tells of its holds once a second at most
    wait_until(lambda: "delivery" not in Result(agent).wrong)
    found = Result(agent)
    assert found.wrong == {"rate limits": "warning"}
    assert found.text["rate limits"].startswith(f"throttled: key *{KEY[-4:]} 1 time, last ")


@pytest.mark.skipif(not shutil.which("tinyproxy"), reason="tinyproxy is not installed")
def test_the_daemons_proxy(tls_api: EventsApi, agent: Agent) -> None:
    """The running daemon's proxy is asked, not the one of whoever looks; its password is shown
    nowhere."""
    agent.configure(events_url=tls_api.url, ca_file=tls_api.ca_file)
    with Tinyproxy(agent.root / "log", password=True) as proxy:
        agent.environment["https_proxy"] = proxy.url_with_password
        agent.start()
        agent.environment["https_proxy"] = "http://127.0.0.1:1"
        found = Result(agent)
        assert found.wrong == {}
        assert found.text["proxy"] == f"{proxy.url} (the running daemon)"
        assert "CONNECT" in proxy.asked_for
        agent.stop()
        agent.environment["https_proxy"] = proxy.url_with_password.replace(PASSWORD, "wr0ng")
        agent.start()
        found = Result(agent)
        assert found.wrong == {"proxy": "failed", "events API": "failed"}
        assert "wr0ng" not in str(found.text)


def test_send_test(api: EventsApi, agent: Agent) -> None:
    """Only when asked to: a trigger and its resolve, by way of the queue, and both arrive."""
    agent.start()
    for user in (None, SENDER):
        api.reset()
        found = Result(agent, "--send-test", "-k", KEY, user=user)
        assert found.level["test event"] == "ok"
        actions = [sent(request)["event_action"] for request in api.accepted]
        assert actions == ["trigger", "resolve"]
        [incident] = api.incidents
        assert incident.state == "resolved"


def test_send_test_refused(api: EventsApi, agent: Agent) -> None:
    """PagerDuty's own words about a wrong key, and no key in them."""
    api.unknown_keys.add(KEY)
    agent.start()
    found = Result(agent, "--send-test", "-k", KEY)
    assert found.level["test event"] == "failed"
    assert found.text["test event"].startswith(f"PagerDuty does not know key *{KEY[-4:]}: ")
    assert "the trigger was refused: " in found.text["test event"]
    assert KEY not in str(found.text)


def test_usage(agent: Agent) -> None:
    """A key belongs to a test event, and a test event needs one: 2, and not a traceback."""
    for arguments in (["--send-test"], ["-k", KEY], ["--send-test", "-k", "a/b"]):
        done = agent.run("pdagent", "check", *arguments)
        assert done.returncode == 2
        assert done.stderr.decode().startswith("pdagent check: error: argument -")


def on_terminal(agent: Agent, **environment: str) -> str:
    """What it writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    lines = {"TERM": "xterm", "COLUMNS": "80", **environment}
    command = [*agent.command("pdagent"), "check", "--config", str(agent.conf)]
    pid = os.posix_spawn(
        command[0],
        command,
        {**agent.environment, **lines},
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1), (os.POSIX_SPAWN_CLOSE, ours)],
    )
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65_536):
            said += part
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    os.waitpid(pid, 0)
    return said.decode()


@pytest.mark.needs_root
@pytest.mark.parametrize("how", [(), ("--nagios",), ("--json",)])
def test_a_name_that_a_terminal_obeys(agent: Agent, how: tuple[str, ...]) -> None:
    """What others name their files is shown with its control characters escaped: it clears no
    screen, and forges no result."""
    if not ROOT:
        pytest.skip("only root repairs")
    agent.start()
    file = agent.spool / "tmp" / "x"
    file.touch(mode=0o600)
    os.link(file, agent.spool / "tmp" / "\x1b[2J\nRESULT: pages go out \udcff")
    file.unlink()
    os.link(next((agent.spool / "tmp").iterdir()), agent.root / "elsewhere")
    said = agent.run("pdagent", "check", "--repair", *how).stdout.decode()
    assert said.replace("\n", "").isprintable()
    assert "\nRESULT: pages go out" not in said
    assert r"\u001b[2J" in said
    assert r"\udcff" in said.replace("\n", "").replace(" ", "")


def test_one_screen(agent: Agent) -> None:
    """In colours on a terminal and nowhere else, no line wider than it, and not where NO_COLOR
    is."""
    agent.start()
    shown = on_terminal(agent)
    assert "\033[32mok       \033[0mconfiguration" in shown
    assert "\033" not in on_terminal(agent, NO_COLOR="1")
    plain = agent.run("pdagent", "check").stdout.decode()
    assert "\033" not in plain
    assert max(map(len, plain.splitlines())) <= 80
    assert len(plain.splitlines()) <= 24


@pytest.mark.needs_root
@pytest.mark.parametrize("what", ["pdagent.conf.d/50.conf", "keys", "ca.pem", "token"])
def test_what_only_root_can_read(api: EventsApi, agent: Agent, what: str) -> None:
    """The configuration is not good: root looks at it with the service's eyes."""
    if not ROOT:
        pytest.skip("only root can become somebody else")
    (agent.root / "pdagent.conf.d").mkdir(mode=0o755)
    (agent.root / "pdagent.conf.d/50.conf").write_text("[Keys]\ndb = KEY\n")
    (agent.root / "keys").write_text("[Keys]\ndb = KEY\n")
    (agent.root / "ca.pem").write_bytes(Path(CertificateAuthority().ca_file).read_bytes())
    (agent.root / "token").write_text("0123456789abcdef")
    (agent.root / "token").chmod(0o640)
    os.chown(agent.root / "token", 0, AGENT.gid)
    agent.configure(
        events_url="https://relay.example",
        keys_file=agent.root / "keys",
        ca_file=agent.root / "ca.pem",
        events_token_file=agent.root / "token",
    )
    assert Result(agent, "--config-only").wrong == {}
    os.chown(agent.root / what, 0, 0)
    (agent.root / what).chmod(0o600)
    found = Result(agent, "--config-only")
    assert found.code == 3
    assert any(str(agent.root / what) in text for text in found.text.values())


def test_a_file_system_without_hard_links(agent: Agent) -> None:
    """No event gets into the queue there, as pd-send says too. Nothing stays of the trial."""
    agent.start()
    faulty = tracing(f"{LINK}:error=EPERM")
    done = agent.run("pdagent", "check", under=faulty)
    assert done.returncode == 3
    assert "takes no hard link (Operation not permitted)" in " ".join(done.stdout.decode().split())
    sent = agent.run("pd-send", "-k", KEY, "-t", "trigger", "-d", "x", under=faulty)
    assert b"must have hard links" in sent.stderr
    assert agent.names("tmp") == []
    assert Result(agent).wrong == {}

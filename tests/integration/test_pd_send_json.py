"""Whole events, as JSON, for pd-send."""

import json

import pytest

from tests.integration.senders import Said, Sender, problem, queued
from tests.support.agent import Agent
from tests.support.events import KEY, OTHER
from tests.support.users import SENDER

WHEN = "2020-01-02T03:04:05Z"
ALERT = {
    "event_action": "trigger",
    "dedup_key": "inc-1",
    "payload": {
        "summary": "disk full",
        "source": "db1",
        "severity": "error",
        "timestamp": WHEN,
    },
}


def from_stdin(agent: Agent, body: object, *arguments: str, **environment: str) -> Said:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = agent.run("pd-send", *arguments, input=data, user=SENDER, environment=environment)
    return result.returncode, result.stdout.decode(), problem(result.stderr)


@pytest.mark.parametrize(
    ("body", "arguments", "environment"),
    [
        (ALERT | {"routing_key": KEY}, [], {}),
        (ALERT | {"routing_key": KEY}, ["-k", KEY], {}),
        (ALERT | {"routing_key": KEY}, [], {"PD_SERVICE_KEY": OTHER}),
        (ALERT, ["-k", KEY], {}),
        (ALERT, [], {"PD_SERVICE_KEY": KEY}),
    ],
)
def test_json(
    agent: Agent, body: dict[str, object], arguments: list[str], environment: dict[str, str]
) -> None:
    """A body from stdin goes on as it is; its key from wherever there is one."""
    said = from_stdin(agent, body, "--json", "-", *arguments, **environment)
    assert said == (0, "Event processed. Incident Key: inc-1\n", "")
    assert queued(agent) == ALERT | {"routing_key": KEY}


def test_json_from_a_file(agent: Agent, pd_send: Sender) -> None:
    """With a dedup key made where there is none."""
    path = agent.root / "body"
    path.write_text(json.dumps({**ALERT, "dedup_key": "", "routing_key": KEY}))
    code, said, _ = pd_send("--json", str(path))
    assert code == 0
    assert said == f"Event processed. Incident Key: {queued(agent)['dedup_key']}\n"
    assert pd_send("--json", f"{path}.not") == (
        2, "", f"pd-send: error: argument --json: cannot read {path}.not: No such file or directory"
    )  # fmt: skip


def test_json_of_a_change_event(agent: Agent) -> None:
    """Only where it is called one: an alert that lacks its action must not become an event that
    wakes nobody."""
    body = {
        "routing_key": KEY,
        "payload": {"summary": "deployed", "timestamp": WHEN},
    }
    code, _, wrong = from_stdin(agent, body, "--json", "-")
    assert code == 65
    assert "'event_action' is missing or blank" in wrong
    assert "pd-send change --json" in wrong
    assert from_stdin(agent, body, "change", "--json", "-") == (0, "Event processed.\n", "")
    assert queued(agent) == body


@pytest.mark.parametrize(
    ("body", "arguments", "code", "says"),
    [
        (b"{", [], 65, "the body is not JSON"),
        (b"[" * 100_000, [], 65, "the body is not JSON"),
        (b'"' + b"x" * 5_000_000, [], 65, "larger than"),
        ({**ALERT, "payload": {}}, ["-k", KEY], 65, "'payload.summary' is missing or blank"),
        (ALERT, [], 2, "argument -k/--service-key is required"),
        (ALERT | {"routing_key": OTHER}, ["-k", KEY], 2, "names another integration key"),
        (ALERT, ["-k", KEY, "-d", "x"], 2, "not allowed with argument -d/--description"),
        (ALERT, ["-k", KEY, "-f", "a=b"], 2, "not allowed with argument -f/--field"),
    ],
)
def test_json_that_is_wrong(
    agent: Agent, body: object, arguments: list[str], code: int, says: str
) -> None:
    """Said in one line, and nothing is queued."""
    got, _, wrong = from_stdin(agent, body, "--json", "-", *arguments)
    assert (got, agent.names("pdq")) == (code, [])
    assert says in wrong

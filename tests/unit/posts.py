"""Posts to the local Events API, for tests of it."""

import requests

V2 = "/v2/enqueue"
CHANGE = "/v2/change/enqueue"
V1 = "/generic/2010-04-15/create_event.json"
HEARTBEAT = "/agent/2014-03-14/heartbeat"
KEY = "c7a4f1e2b9d84c6fa0b1c2d3e4f50617"
Body = dict[str, object]


def v2(
    dedup_key: str | None = "disk", action: str = "trigger", key: str = KEY, **payload: object
) -> Body:
    event: Body = {"routing_key": key, "event_action": action}
    if dedup_key is not None:
        event["dedup_key"] = dedup_key
    if action == "trigger":
        event["payload"] = {"summary": "disk full", "source": "db1", "severity": "error"} | payload
    return event


def v1(incident_key: str | None = "disk", action: str = "trigger", **fields: object) -> Body:
    event: Body = {"service_key": KEY, "event_type": action, "description": "disk full"}
    return event | ({"incident_key": incident_key} if incident_key else {}) | fields


def errors(answer: requests.Response) -> list[str]:
    assert answer.status_code == 400
    body = answer.json()
    assert (body["status"], body["message"]) == ("invalid event", "Event object is invalid")
    assert isinstance(body["errors"], list)
    return body["errors"]

"""Events API v1: a v2 event, written for v1."""

from pdagent import api
from pdagent.encoding import Body
from pdagent.event import put


def as_v1(body: Body) -> Body:
    """The body of a v2 event as v1 wants it, for keys that v2 does not know."""
    payload = body.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    details = payload.get("custom_details")
    contexts = [
        {"type": kind, **item}
        for kind, field in (("link", "links"), ("image", "images"))
        for item in _dicts(body.get(field))
    ]
    v1: Body = {
        api.V1_KEY: body.get(api.V2_KEY),
        api.V1_ACTION: body.get(api.V2_ACTION),
        "details": details if details is not None else {},
    }
    put(v1, api.V1_DEDUP_KEY, body.get(api.V2_DEDUP_KEY))
    put(v1, "description", payload.get("summary"))
    put(v1, "client", body.get("client"))
    put(v1, "client_url", body.get("client_url"))
    put(v1, "contexts", contexts or None)
    return v1


def _dicts(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

"""Envelopes: what tools send to an integration's own address, kept as it came.

PagerDuty gives many integrations an address with the key in it, `/integration/KEY/enqueue`, and
orchestrations one of the form `/x-ere/KEY`. Tools send there in forms of their own, and PagerDuty
makes events of that. So in the spool it is a text in an envelope, which is JSON and names the key,
as every event there does.

Pure: it knows bytes.
"""

import json
from dataclasses import dataclass

from pdagent.api import V2_KEY

PATHS = {"integration": "/integration/{}/enqueue", "x-ere": "/x-ere/{}"}
MARK = "pdagent_form"
_TYPE, _BODY = "content_type", "body"
_TYPE_CHARS = 200
DEFAULT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """`form`: which of the PATHS; `data`: the very bytes that came."""

    form: str
    content_type: str
    data: bytes


def seal(key: str, envelope: Envelope) -> bytes:
    """The bytes that lie in the spool. Data that is no UTF-8 comes out as it went in."""
    body = envelope.data.decode("utf-8", "surrogateescape")
    kind = envelope.content_type[:_TYPE_CHARS]
    fields = {V2_KEY: key, MARK: envelope.form, _TYPE: kind, _BODY: body}
    return json.dumps(fields).encode()


def form_of(body: dict[str, object]) -> str:
    """Which of the PATHS a body is for, "" if it is no envelope."""
    form = body.get(MARK)
    return form if isinstance(form, str) and form in PATHS else ""


def unseal(body: dict[str, object]) -> Envelope:
    """The envelope in a body. Whoever wrote it may have meant harm: what can't be sent is left
    out."""
    data, kind = body.get(_BODY), body.get(_TYPE)
    text = data if isinstance(data, str) else ""
    if not (isinstance(kind, str) and kind.isascii() and kind.isprintable() and kind):
        kind = DEFAULT_TYPE
    return Envelope(form_of(body), kind[:_TYPE_CHARS], text.encode("utf-8", "surrogateescape"))

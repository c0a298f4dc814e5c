"""An expectation: a trigger that is sent unless somebody says in time that all is well.

Pure: it is handed bytes and moments. Whoever wrote the bytes may mean harm; `pending` bounds what
parsing them can cost, and a file has EXPECTATION_BYTES at most.

The file holds a JSON object: `trigger`, the body of the event that a lapse sends, as `pd-send` has
made it; `term`, in seconds, 0 where the expectation is cancelled; `since`, when it was renewed;
`by`, the name of the sender that brought it to the endpoint, "" where no sender with a name did.
"""

from dataclasses import dataclass

from pdagent import api
from pdagent.encoding import DEPTH_MOST, Body, dumps, shorten
from pdagent.event import check_key, encode, timestamp
from pdagent.queue.elapsed import Moment, asleep, is_other_boot, moment_of, was_off
from pdagent.queue.numbers import is_number
from pdagent.queue.pending import Hostile, key_field, parsed
from pdagent.threads import importing

EXPECTATION_BYTES = 65_536
TERM_LEAST = 1.0
TERM_MOST = 366 * 86_400.0
_BY_DIGITS = 12
_NOBODY = "0" * _BY_DIGITS
_FIELDS = {api.V2_KEY: api.V2_FIELDS, api.V1_KEY: api.V1_FIELDS}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a file says. `key` is the integration key in the body of the `trigger`, or a name of
    one."""

    trigger: Body
    key: str
    dedup_key: str
    term: float
    since: Moment
    by: str = ""

    @property
    def is_cancelled(self) -> bool:
        """Whether it says that nothing is expected any more."""
        return not self.term


def written(trigger: bytes, term: float, since: Moment, by: str = "") -> bytes:
    """The contents of a file. `trigger` is a body as `submission` makes it."""
    head = f'"by":{dumps(by)},"since":{dumps(since.fields())},"term":{dumps(term)}'
    return b"{" + head.encode("ascii") + b',"trigger":' + trigger + b"}"


def understood(data: bytes) -> Expectation:
    """The expectation in the contents of a file. Raises Hostile, Incomplete."""
    fields = parsed(data, DEPTH_MOST + 1)  # the trigger is an event, and one level down
    trigger, term = fields.get("trigger"), fields.get("term")
    if not isinstance(trigger, dict):
        raise Hostile("it is no expectation: it has no trigger")
    if not is_number(term):
        raise Hostile("it is no expectation: it has no term")
    if term != 0 and not TERM_LEAST <= term <= TERM_MOST:
        raise Hostile(f"its term is not from {TERM_LEAST:.0f} to {TERM_MOST:.0f} seconds")
    by = fields.get("by", "")
    if not isinstance(by, str):
        raise Hostile("it is no expectation: it does not say whose it is")
    _, action, dedup = _FIELDS[key_field(trigger)]
    key, dedup_key = trigger.get(key_field(trigger)), trigger.get(dedup)
    if trigger.get(action) != "trigger" or not isinstance(key, str):
        raise Hostile("its event is no trigger with an integration key")
    if not isinstance(dedup_key, str) or not 0 < len(dedup_key) <= api.DEDUP_KEY_CHARS:
        raise Hostile("its event has no dedup key")
    try:
        since = moment_of(fields.get("since"))
        if check_key(key) != key:
            raise Hostile("there is something around its integration key")
        encode(trigger)
    except (ValueError, RecursionError) as error:
        raise Hostile(str(error)) from error
    return Expectation(trigger, key, dedup_key, float(term), since, by)


def identity_of(owner: int, expectation: Expectation) -> str:
    """The name of an expectation: the same for all calls of one user, or of one sender to the
    endpoint, with the same keys. No two users have the same. It can be a file's name."""
    with importing:
        from hashlib import sha256  # an idle daemon does without

    def digest(text: str, digits: int) -> str:
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]

    by = digest(expectation.by, _BY_DIGITS) if expectation.by else _NOBODY
    what = f"{expectation.key}\0{expectation.dedup_key}\0{expectation.by}"
    return f"{owner}-{by}{digest(what, 40 - _BY_DIGITS)}"


def holder_of(identity: str) -> str:
    """Who has an expectation: a user, or a sender to the endpoint."""
    owner, _, digest = identity.partition("-")
    return f"{owner}-{digest[:_BY_DIGITS]}"


def is_relayed(identity: str) -> bool:
    """Whether it came to the endpoint from a sender with a name."""
    return not holder_of(identity).endswith(f"-{_NOBODY}")


def owner_of(identity: str) -> int | None:
    """The user in an identity; None if the text is no identity."""
    owner, hyphen, digest = identity.partition("-")
    good = owner.isascii() and owner.isdigit() and len(owner) <= 10
    digits = len(digest) == 40 and not digest.strip("0123456789abcdef")
    return int(owner) if hyphen and good and digits else None


def trigger(expectation: Expectation, now: Moment, note: str = "") -> bytes:
    """The body of the event that a lapse sends. `note` is put behind its summary. Raises
    BadEvent."""
    body = dict(expectation.trigger)
    since = expectation.since
    more: Body = {"last_heard": _iso(since.wall)}
    slept = asleep(since, now)
    if is_other_boot(since, now):
        more["host_started"] = _iso(now.wall - now.running)
    elif slept >= 1:
        more["host_asleep_seconds"] = int(slept)
    if not note and was_off(since, now, expectation.term):
        note = "this host was asleep" if slept else "this host was off"
    payload = body.get("payload")
    if isinstance(payload, dict):
        payload = dict(payload)
        body["payload"] = payload
        payload["timestamp"] = _iso(now.wall)
        _add(payload, "summary", "custom_details", note, more)
    else:
        _add(body, "description", "details", note, more)
    return encode(body)


def _add(texts: Body, summary: str, details: str, note: str, more: Body) -> None:
    found = texts.get(details) or {}
    if isinstance(found, dict):
        texts[details] = {**found, **more}
    if note:
        note = f" ({note})"
        said = shorten(str(texts.get(summary) or ""), api.SUMMARY_CHARS - len(note))
        texts[summary] = said + note


def resolve(expectation: Expectation) -> bytes:
    """The body of the event that ends what a lapse began."""
    key, action, dedup_key = _FIELDS[key_field(expectation.trigger)]
    return encode({key: expectation.key, action: "resolve", dedup_key: expectation.dedup_key})


def _iso(wall: float) -> str:
    """Hostile seconds as a time of some year that has four digits."""
    return timestamp(int(min(max(wall, 0.0), 253_402_300_799.0)) * 1_000_000_000)

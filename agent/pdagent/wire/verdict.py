"""Verdicts: what an answer of the Events API, or the lack of one, means for the event.

Pure: it is handed status, headers and body, and does no input or output. A verdict says what is to
blame for a failure, since that decides who has to wait: the event's dedup chain, its key, or all
events.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pdagent import api
from pdagent.shown import printable

# PagerDuty counts events per minute. Whoever asks for much more time than that is not PagerDuty.
RETRY_AFTER_MOST = 300.0
REASON_CHARS = 500
RELAY_ANSWERED = "the relay answered"
RELAY = "pdagent"  # what an agent's endpoint calls itself in the header Server
CIRCLE = "it sends them back to this host, in a circle (events_url)"
# What a relay says of itself or of us, and not of this event: it says the same to all events.
_RELAYS = {
    401: "it does not know this host's token (events_token_file)",
    403: "it does not let this host in",
    404: "it has no Events API there (events_url)",
    405: "it has no Events API there (events_url)",
    429: "it is full, since it does not get its own events, or this host's, out",
    503: "it cannot write its queue; its log says why",
    507: "its disk is full",
    508: CIRCLE,
}
# A gateway before a relay may call itself the server. These words are the endpoint's own.
_RELAYS_WORDS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not found",
    405: "method not allowed",
    508: "loop detected",
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """PagerDuty has the event."""

    status: int


@dataclass(frozen=True, slots=True)
class Refused:
    """PagerDuty will never take this event. `about_key`: because of its integration key."""

    status: int
    reason: str
    about_key: bool = False


@dataclass(frozen=True, slots=True)
class TooLarge:
    """PagerDuty would take a shorter body."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """The key has sent too much. `retry_after` in seconds, None where the answer does not say."""

    status: int
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Troubled:
    """This event, or PagerDuty, is in trouble: it may or may not have been taken."""

    why: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing that speaks PagerDuty's language was reached. `content`: what the event holds may be
    why, since something on the way has seen it. `sure`: a relay said it of itself, or of this host,
    so every other event would fare as this one."""

    why: str
    content: bool = False
    sure: bool = False


Verdict = Delivered | Refused | Throttled | Troubled | Unreachable

_PATH_STATUSES = (401, 403, 404, 405)  # unless PagerDuty itself wrote the answer
_SERVER_STATUSES = (408, 425)

_NO = re.compile(
    "false|err|fail|invalid|unauthori|forbidden|denied|reject|refuse|[4-9][0-9][0-9]", re.IGNORECASE
)

# The status with which PagerDuty takes an event, by API.
_TAKEN = {"v2": 202, "change": 202, "v1": 200}


def judge(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    version: str = "v2",
    pagerduty: bool = False,
    proxy: str = "",
) -> Verdict | TooLarge:
    """The verdict on an answer to an event of `version`.

    Names in `headers` may be in upper or lower case. `body` is empty if it was not whole. `now` is
    in seconds since the epoch, for dates in Retry-After. `pagerduty`: PagerDuty itself was asked,
    and not a relay that passes events on to it. `proxy` is who could have written the answer in
    PagerDuty's place; "" if nobody could.
    """
    if 200 <= status < 300:
        return _taken(status, headers, body, version, pagerduty)
    words = _pagerdutys_words(body)
    if not pagerduty and status in _RELAYS and _is_relays(status, headers, body):
        return Unreachable(f"{RELAY_ANSWERED} {status}: {_RELAYS[status]}", sure=True)
    if status == 429 or (version == "v1" and status == 403 and not _is_html(headers, body)):
        return Throttled(status, retry_after(headers, now))
    if status == 413:
        return TooLarge(status, words or "too large")
    if status in _SERVER_STATUSES or status >= 500:
        if proxy and status in (502, 504) and words is None:
            return Unreachable(f"{proxy} answered {status}")
        return Troubled(f"answered {status}" + (f": {words}" if words else ""), status)
    if words is not None and 400 <= status < 500 and status != 407:
        return Refused(
            status, words, about_key=api.V2_KEY in words or "routing key" in words.lower()
        )
    if status == 407:
        return Unreachable(f"{proxy or 'a proxy'} answered 407 Proxy Authentication Required")
    if 300 <= status < 400:
        return Unreachable(f"answered {status}, a redirection that PagerDuty does not send")
    if status in _PATH_STATUSES or _is_html(headers, body):
        return Unreachable(f"answered {status}, and not in PagerDuty's words")
    return Troubled(f"answered {status}, and not in PagerDuty's words", status)


def _is_relays(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether an agent's endpoint has written this answer."""
    if _header(headers, "server") == RELAY:
        return True
    said = (_object(body) or {}).get("status")
    return said is not None and said == _RELAYS_WORDS.get(status)


def _taken(
    status: int, headers: Mapping[str, str], body: bytes, version: str, pagerduty: bool
) -> Verdict:
    """Whether a 2xx means that the event was taken. From PagerDuty it does if the body is the one
    that PagerDuty always sends; from a relay, if the body is a JSON object that does not say no.
    Captive portals, proxies that open TLS and web servers' start pages say 2xx too, and have taken
    nothing."""
    answer = _object(body)
    if answer is not None and status == _TAKEN.get(version) and answer.get("status") == "success":
        return Delivered(status)
    says_no = answer is not None and not pagerduty and _says_no(answer)
    if version not in _TAKEN and status == 202 and not says_no and not _is_html(headers, body):
        return Delivered(status)  # an integration's own address, which answers in any form
    if answer is not None and not pagerduty and not says_no:
        return Delivered(status)
    if _is_html(headers, body):
        return Unreachable(f"answered {status} with a web page, which PagerDuty does not")
    return Unreachable(f"answered {status}, and not as PagerDuty does when it takes an event")


def _says_no(answer: dict[str, object]) -> bool:
    """Whether an answer is one of failure, whatever its HTTP status is: so say many gateways, and
    services that are no relays at all. AWS's is 200 where its function has failed, and then there
    is an `errorMessage`."""
    statuses = [answer.get(field) for field in ("status", "statusCode")]
    return (
        any(answer.get(field) for field in ("errors", "error", "errorMessage"))
        or any(isinstance(said, str | int) and _NO.match(str(said)) for said in statuses)
        or any(answer.get(field) in (False, "false") for field in ("success", "ok"))
    )


def named(body: bytes) -> str | None:
    """The dedup key of the event that PagerDuty says it has taken; None if it names none."""
    answer = _object(body) or {}
    key = answer.get(api.V2_DEDUP_KEY) or answer.get(api.V1_DEDUP_KEY)
    return key if isinstance(key, str) else None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from Retry-After (RFC 9110, 10.2.3: seconds, or a date); None if absent or
    unusable.

    A date counts from the answer's own Date where it has one: our clock may be wrong.
    """
    value = _header(headers, "retry-after").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), RETRY_AFTER_MOST)
    until = _http_date(value)
    if until is None:
        return None
    sent = _http_date(_header(headers, "date"))
    wait = until - (now if sent is None else sent)
    return min(wait, RETRY_AFTER_MOST) if wait >= 0 else None


def _http_date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime  # 400 kB that an idle daemon does not need

    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError, TypeError):
        return None


def _header(headers: Mapping[str, str], name: str) -> str:
    return next((value for field, value in headers.items() if field.lower() == name), "")


def _is_html(headers: Mapping[str, str], body: bytes) -> bool:
    return "html" in _header(headers, "content-type").lower() or body.lstrip()[:1] == b"<"


def _pagerdutys_words(body: bytes) -> str | None:
    """What PagerDuty says in an error: its `message` and `errors`. None if PagerDuty did not write
    it: others answer with such members too, but with a number as status, or with objects as errors.
    """
    answer = _object(body)
    if answer is None:
        return None
    errors = answer.get("errors")
    texts = isinstance(errors, list) and all(isinstance(error, str) for error in errors)
    has_errors = texts and bool(errors)
    if not has_errors and not (isinstance(answer.get("status"), str) and "message" in answer):
        return None
    parts = [answer.get("message"), *(errors if isinstance(errors, list) else [errors])]
    return (
        "; ".join(printable(str(part), " ") for part in parts if part)[:REASON_CHARS]
        or "no reason given"
    )


def _object(body: bytes) -> dict[str, object] | None:
    try:
        answer = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None

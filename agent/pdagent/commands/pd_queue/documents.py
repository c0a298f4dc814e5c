"""Documents: what `pd-queue --json` prints. docs/json.md says what it means. A change that could
break a reader needs a new number in `schema`."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping

from pdagent import __version__
from pdagent.commands.pd_queue.view import View
from pdagent.queue.holds import Hold, Scope
from pdagent.queue.listing import Record
from pdagent.queue.state import iso
from pdagent.queue.states import Count
from pdagent.shown import masked, masked_name, redacted
from pdagent.spool import PENDING

Document = dict[str, object]


def head(view: View, what: str) -> Document:
    """The members with which all documents begin."""
    return {
        "schema": f"pd-queue.{what}/1",
        "version": __version__,
        "time": iso(view.wall),
        "running": view.running,
    }


def status(view: View, counts: Mapping[str, Count], key: str | None) -> Document:
    """The document of `status`, for all keys or one."""
    return {
        **head(view, "status"),
        "keys": [
            {
                "key": masked(name),
                "pending": count.pending,
                "delivered": count.delivered,
                "in_error": count.in_error,
            }
            for name, count in counts.items()
        ],
        "holds": None if view.held is None else [hold(view, h) for h in view.holds(key)],
        "more_holds": view.held.more if view.held and key is None else 0,
        "lost_relays": [
            {"relay": url, "since": iso(view.wall_of(since))}
            for url, since in (view.held.lost.items() if view.held else ())
        ],
    }


def hold(view: View, hold: Hold) -> Document:
    """One hold."""
    chain = hold.chain
    has_dedup_key = chain.startswith("=")
    scope: str = hold.scope
    if hold.scope is Scope.CHAIN:
        scope = "dedup_key" if has_dedup_key else "event"
    return {
        "scope": scope,
        "key": masked(hold.key) if hold.key else None,
        "dedup_key": redacted(chain[1:], hold.key) if has_dedup_key else None,
        "event": masked_name(chain) if chain and not has_dedup_key else None,
        "reason": redacted(hold.why, hold.key),
        "since": iso(view.wall_of(hold.since)),
        "next_try": iso(view.wall_of(hold.until)),
    }


def event(view: View, record: Record) -> Document:
    """One event, as `list` has it."""
    found, accepted, key = record.event, record.accepted, record.key
    waits = record.hold if record.directory == PENDING else None
    return {
        "event": masked_name(record.name),
        "state": record.state.replace(" ", "_"),
        "key": masked(key),
        "action": redacted(found.action, key) if found else None,
        "dedup_key": redacted(found.dedup_key, key) if found and found.dedup_key else None,
        "summary": redacted(found.summary, key) if found else None,
        "accepted": None if accepted is None else iso(accepted),
        "age": None if accepted is None else round(view.wall - accepted, 3),
        "attempts": record.attempts,
        "next_try": None if waits is None else iso(view.wall_of(waits.until)),
        "reason": redacted(record.why, key) or None,
        "status": record.reason.status if record.reason else None,
    }


def dumps(document: object) -> str:
    """The document as JSON in ASCII, so that no terminal takes any of it for a command."""
    return json.dumps(document)


def stream(
    head: Document, events: Iterable[Document], tail: Callable[[], Document] = dict
) -> Iterator[str]:
    """A document with a list of `events`, piece by piece. `tail` gives the members behind the list,
    and is called when they are written."""
    yield dumps(head)[:-1] + ', "events": ['
    comma = ""
    for each in events:
        yield f"{comma}\n{dumps(each)}"
        comma = ","
    rest = dumps(tail())[1:-1]
    yield f"\n]{', ' if rest else ''}{rest}}}\n"

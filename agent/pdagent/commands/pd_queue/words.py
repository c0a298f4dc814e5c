"""The queue in words and tables."""

import re
from collections.abc import Iterable, Iterator, Mapping

from pdagent.commands.pd_queue.view import View
from pdagent.commands.text import cut, padded, span, width
from pdagent.queue.holds import Hold, Scope
from pdagent.shown import escaped, hour, masked, masked_name, redacted
from pdagent.spool import IN_ERROR, PENDING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.queue.listing import Record
    from pdagent.queue.states import Count

HOLDS_SHOWN = 10
_KEY, _DEDUP_KEY = 5, 20
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:s|min|h|d)\b)")
_INDENT = 17  # so a reason stands below the columns, beside the event's name


def counts(found: "Mapping[str, Count]") -> list[str]:
    """The table of pd-queue status."""
    lines = [f"{'Service Key':<35}{'Pending':>10}{'Success':>10}{'In Error':>10}", "=" * 65]
    for key, count in found.items():
        row = f"{escaped(key):<35}{count.pending:>10}{count.delivered:>10}{count.in_error:>10}"
        lines.append(row)
    return lines


def held(
    view: View, key: str | None, pending: Mapping[str, int], most: int = HOLDS_SHOWN
) -> list[str]:
    """What keeps pending events back, one line for each; no line if nothing does. `pending` is how
    many events there are, by key."""
    total = sum(pending.values())
    if not view.running and total:
        return [f"{total} pending, as pdagentd is not running. Use: sudo service pdagent start"]
    if view.held is None:
        return ["What is held is not known: pdagentd could not write it down"]
    lanes = {view.lane(name) for name, count in pending.items() if count}
    holds = [hold for hold in view.holds(key) if not hold.key or hold.key in lanes]
    keys = {hold.key for hold in holds if hold.scope is Scope.KEY}
    holds = [hold for hold in holds if hold.scope is not Scope.CHAIN or hold.key not in keys]
    lines = [hold(view, each) for each in holds[:most]]
    for url, since in view.held.lost.items():
        at = hour(view.wall_of(since), view.wall)
        lines.append(f"relay {escaped(url)}: not reached, since {at}; its events go to another")
    more = max(0, len(holds) - most) + (view.held.more if key is None else 0)
    return [*lines, f"and {more} more"] if more else lines


def hold(view: View, hold: Hold) -> str:
    """One hold: what is held, why, since when, and when the next try is."""
    since = hour(view.wall_of(hold.since), view.wall)
    text = f"{scope(hold)}: {escaped(redacted(hold.why, hold.key))}, since {since}, "
    return text + f"next try {soon(hold.until - view.monotonic)}"


def scope(hold: Hold) -> str:
    """What is held."""
    if hold.scope is Scope.DESTINATION:
        return "destination"
    key = f"key {masked(hold.key)}"
    if hold.scope is Scope.KEY:
        return key
    if hold.chain.startswith("="):
        return f"dedup key {escaped(redacted(hold.chain[1:], hold.key))} of {key}"
    return f"event {masked_name(hold.chain)}"


def soon(seconds: float) -> str:
    """When something is due."""
    if seconds <= 0.5:
        return "now"
    text = span(seconds + 0.5)
    return f"in {text[:-1]} {'min' if text[-1] == 'm' else text[-1]}"


def table(view: View, records: "Iterable[Record]", columns: int | None) -> Iterator[str]:
    """The list, line by line."""
    yield headings(view, columns) + "\n"
    before = None
    for record in records:
        yield from (f"{each}\n" for each in lines(view, record, columns, before))
        before = record


def headings(view: View, columns: int | None) -> str:
    """The line above the columns of `lines`."""
    text = f"EVENT            STATE      AGE {'KEY':<{_key_columns(view, columns)}} TRIES NEXT "
    text += f"{'DEDUP KEY':<{_at_most(_DEDUP_KEY, columns)}} SUMMARY"
    return text[:columns]


def _key_columns(view: View, columns: int | None) -> int:
    return _at_most(max(_KEY, len("@") + view.longest_name), columns)


def _at_most(wanted: int, columns: int | None) -> int:
    # On a narrow screen there must be some room for the summary, which comes last.
    return wanted if columns is None else min(wanted, max(9, columns // 6))


def lines(
    view: View, record: "Record", columns: int | None, before: "Record | None" = None
) -> list[str]:
    """An event as the list shows it: one line, and below it the reason of its state if that does
    not fit. `columns` is how wide the lines may be; with None it is one line of any length.
    `before` is the event above this one; the same reason is not shown twice."""
    accepted = record.accepted
    age = "?" if accepted is None else span(view.wall - accepted)
    attempts = "-" if record.attempts is None else str(record.attempts)
    key, event = record.key, record.event
    dedup_key = shown(event.dedup_key or "-" if event else "-", key)
    summary = shown(event.summary or event.action if event else "", key)
    name, room, key_room = masked(key), _at_most(_DEDUP_KEY, columns), _key_columns(view, columns)
    if columns is not None:
        name, dedup_key = padded(name, key_room), padded(dedup_key, room)
    text = f"{record.name.partition('_')[0]:<16} {record.state:<9} {age:>4} {name:<{key_room}} "
    text += f"{attempts:>5} {next_try(view, record):>4} {dedup_key:<{room}} "
    why = shown(record.why, key)
    if columns is not None and before is not None and _is_known(record, before):
        why = "as above" if record.directory == IN_ERROR else ""
    whole = f"{text}{summary}{' ' if summary and why else ''}{f'({why})' if why else ''}"
    if columns is None or width(whole) <= columns:
        return [whole]
    if not why:
        return [cut(whole, columns)]
    return [cut(text + summary, columns).rstrip(), *wrapped(why, columns, " " * _INDENT)]


def _is_known(record: "Record", before: "Record") -> bool:
    return (record.directory, record.why) == (before.directory, before.why)


def is_about_key(record: "Record") -> bool:
    """Whether PagerDuty refused the event's integration key."""
    return record.reason is not None and record.reason.is_about_key


def to_other_key(event: str) -> str:
    """What to do about an event in error whose integration key is wrong."""
    return (
        "PagerDuty refused the integration key. To send the event with another one: "
        f"sudo pd-queue retry {event} --to-key KEY"
    )


def wrapped(text: str, columns: int, indent: str = "", further: str | None = None) -> list[str]:
    """The text in lines that fit: the first indented by `indent`, the others by `further`."""
    from textwrap import wrap  # a script's status does without

    found = wrap(
        _BEFORE_UNIT.sub("\xa0", text),  # a number and its unit stay on one line
        max(20, columns),
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in found]


def next_try(view: View, record: "Record") -> str:
    """When a pending event may go, in four columns."""
    if record.directory != PENDING or not view.running:
        return "-"
    seconds = 0.0 if record.hold is None else record.hold.until - view.monotonic
    return span(seconds + 0.5) if seconds > 0.5 else "now"


def shown(text: str, key: str) -> str:
    """An event's text as it may be shown."""
    return escaped(redacted(text, key))

"""The queue in words and tables."""

from collections.abc import Iterable, Iterator, Mapping

from pdagent.commands.queue.view import View
from pdagent.commands.text import clock, cut, escaped, padded, span
from pdagent.log import masked, masked_name, redacted
from pdagent.queue.backlog import Count
from pdagent.queue.holds import Hold
from pdagent.queue.listing import Record
from pdagent.spool import PENDING

HOLDS_SHOWN = 10
_DEDUP_KEY, _SUMMARY = 20, 40


def counts(found: Mapping[str, Count]) -> list[str]:
    """The table of pd-queue status."""
    lines = [f"{'Service Key':<35}{'Pending':>10}{'Success':>10}{'In Error':>10}", "=" * 65]
    for key, count in found.items():
        row = f"{escaped(key):<35}{count.pending:>10}{count.delivered:>10}{count.in_error:>10}"
        lines.append(row)
    return lines


def held(
    view: View, key: str | None, pending: Mapping[str, int], most: int = HOLDS_SHOWN
) -> list[str]:
    """What keeps pending events back, a line each; none if nothing does. `pending`: how many there
    are, by key."""
    total = sum(pending.values())
    if not view.running and total:
        return [f"{total} pending, as pdagentd is not running. Use: sudo service pdagent start"]
    if view.held is None:
        return ["What is held is not known: pdagentd could not write it down"]
    lanes = {view.lane(name) for name, count in pending.items() if count}
    holds = [hold for hold in view.holds(key) if not hold.key or hold.key in lanes]
    keys = {hold.key for hold in holds if hold.scope == "key"}
    holds = [hold for hold in holds if hold.scope != "chain" or hold.key not in keys]
    lines = [hold(view, each) for each in holds[:most]]
    more = len(holds) - len(lines) + (view.held.more if key is None else 0)
    return [*lines, f"and {more} more"] if more else lines


def hold(view: View, hold: Hold) -> str:
    """One hold: what, why, since when, until when, how often."""
    since = clock(view.wall_of(hold.since), view.wall)
    text = f"{scope(hold)}: {escaped(redacted(hold.why, hold.key))}, since {since}, "
    return text + f"next try {soon(hold.until - view.monotonic)}"


def scope(hold: Hold) -> str:
    """What is held."""
    if hold.scope == "destination":
        return "destination"
    key = f"key {masked(hold.key)}"
    if hold.scope == "key":
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


def table(view: View, records: Iterable[Record], columns: int | None) -> Iterator[str]:
    """The list, line by line."""
    yield headings(columns) + "\n"
    for record in records:
        yield line(view, record, columns) + "\n"


def headings(columns: int | None) -> str:
    """What is above the columns of `line`."""
    text = "EVENT            STATE      AGE KEY   TRIES NEXT "
    text += f"{'DEDUP KEY':<{_dedup_columns(columns)}} SUMMARY"
    return text[:columns]


def _dedup_columns(columns: int | None) -> int:
    # on a narrow screen the summary, which comes last, must get something too
    return _DEDUP_KEY if columns is None else min(_DEDUP_KEY, max(9, columns // 6))


def line(view: View, record: Record, columns: int | None) -> str:
    """An event as a line of the list; `columns`: how wide it may be, None: as it needs."""
    accepted = record.accepted
    age = "?" if accepted is None else span(view.wall - accepted)
    attempts = "-" if record.attempts is None else str(record.attempts)
    key, event = record.key, record.event
    dedup_key = shown(event.dedup_key or "-" if event else "-", key)
    summary = shown(event.summary or event.action if event else "", key)
    why = shown(record.why, key)
    room = _dedup_columns(columns)
    if columns is not None:
        dedup_key = padded(dedup_key, room)
        summary = cut(summary, _SUMMARY) if why else summary
    text = f"{record.name.partition('_')[0]:<16} {record.state:<9} {age:>4} {masked(key):<5} "
    text += f"{attempts:>5} {next_try(view, record):>4} {dedup_key:<{room}} {summary}"
    if why:
        text += f" ({why})" if summary else f"({why})"
    return text if columns is None else cut(text, columns)


def next_try(view: View, record: Record) -> str:
    """When a pending event may go, in four columns."""
    if record.directory != PENDING or not view.running:
        return "-"
    seconds = 0.0 if record.hold is None else record.hold.until - view.monotonic
    return span(seconds + 0.5) if seconds > 0.5 else "now"


def shown(text: str, key: str) -> str:
    """An event's text as it may be shown."""
    return escaped(redacted(text, key))

"""`pd-queue list` and `show`: the events themselves."""

import argparse
import contextlib
import json
from collections.abc import Iterator
from itertools import chain, islice

from pdagent import api, exits
from pdagent.commands import common, terminal
from pdagent.commands.pd_queue import awaited, documents, words
from pdagent.commands.pd_queue.arguments import query
from pdagent.commands.pd_queue.view import View
from pdagent.commands.text import moment
from pdagent.queue.history import about as about_event
from pdagent.queue.history import from_log
from pdagent.queue.listing import Record
from pdagent.queue.state import iso, seconds_of
from pdagent.queue.states import NoSuchEvent
from pdagent.shown import escaped, masked, masked_name, redacted
from pdagent.spool import DELIVERED, PENDING

RAW_BYTES = 4096  # how much is shown of a file that is no event


def list_events(view: View, options: argparse.Namespace) -> int:
    wanted = query(options)
    names = view.listing().names(wanted, view.wall)
    if options.reverse:
        names.reverse()
    records = islice(view.listing().records(wanted, names), options.limit)
    expected = awaited.expectations(view, options)
    if options.json:
        events = (documents.event(view, record) for record in records)
        head = documents.head(view, "list")
        head["expectations"] = [awaited.document(each) for each in expected]
        common.emit(documents.stream(head, events))
        return exits.DONE
    columns = terminal.columns()
    common.emit(_list(view, records, expected, columns))
    return exits.DONE


def _list(
    view: View, records: Iterator[Record], expected: list[awaited.Awaited], columns: int | None
) -> Iterator[str]:
    first = next(records, None)
    if first is not None:
        yield from _events(view, first, records, columns)
    elif not expected:
        yield "Nothing to report.\n"
    if expected:
        yield from [] if first is None else ["\n"]
        yield from awaited.table(view, expected, columns)


def _events(
    view: View, first: Record, records: Iterator[Record], columns: int | None
) -> Iterator[str]:
    wrong_key = False

    def watched() -> Iterator[Record]:
        nonlocal wrong_key
        for record in chain([first], records):
            wrong_key = wrong_key or words.is_about_key(record)
            yield record

    yield from words.table(view, watched(), columns)
    if wrong_key and columns is not None:  # a script reads the table
        yield "\n"
        for line in words.wrapped(words.to_other_key("EVENT"), columns):
            yield f"{line}\n"


# --- one event ----------------------------------------------------------------------------------


def show(view: View, options: argparse.Namespace) -> int:
    directory, name = view.listing().find(options.event)
    record = view.listing().record(directory, name)
    if record is None:
        raise NoSuchEvent(f"{masked_name(name)} was settled at this moment; look again")
    happened = history(view, record)
    if options.json:
        body = _body(view, record)
        past = [{"at": iso(at), "what": what} for at, what in happened]
        event = {**documents.event(view, record), "body": body, "history": past}
        document = {**documents.head(view, "show"), "event": event}
        common.emit([documents.dumps(document) + "\n"])
    else:
        columns = terminal.columns()
        for line, indent in _page(view, record, happened):
            shown = [line] if columns is None else words.wrapped(line, columns, "", " " * indent)
            common.emit(f"{each}\n" for each in shown or [""])
        common.emit(f"  {escaped(line)}\n" for line in _body_lines(view, record))
    return exits.DONE


def history(view: View, record: Record) -> list[tuple[float, str]]:
    """What happened to an event and when, as far as it is known: by its file's name, the log, the
    reason that was kept, and the time when it was settled."""
    event, key = record.event, record.key
    about = ""
    if event is not None:
        about = about_event(event.action, event.dedup_key)
    past = list(from_log(view.settings.log_dir, record.name, redacted(about, key)))
    if record.accepted is not None:
        past.insert(0, (record.accepted, "accepted"))
    told = [what for _, what in past]
    reason = view.state.reason(record.name)
    if reason is not None and not any(reason.reason in what for what in told):
        with contextlib.suppress(ValueError):
            past.append((seconds_of(reason.at), f"in error: {reason.reason}"))
    if record.directory == DELIVERED and not any(what.startswith("delivered") for what in told):
        at = view.listing().changed(record)
        past.append((at, "delivered"))
    tries = record.tries
    if tries is not None and not any(tries.why in what for what in told):
        # The log tells of an outage once, and not for each event.
        times = f" at try {tries.number}" if tries.number > 1 else ""
        past.append((view.wall_of(tries.at), f"not sent{times}: {tries.why}"))
    return [(at, redacted(what, key)) for at, what in sorted(past, key=lambda entry: entry[0])]


def _page(
    view: View, record: Record, happened: list[tuple[float, str]]
) -> Iterator[tuple[str, int]]:
    """The lines above the body, each with the indent of what does not fit in it."""
    event, key = record.event, record.key
    number = record.name.partition("_")[0]
    fields = {"Event": masked_name(record.name), "State": record.state}
    if record.directory == PENDING and record.hold is not None:
        fields["Held"] = words.hold(view, record.hold)
    elif record.directory == PENDING and not view.running:
        fields["Held"] = "pdagentd is not running. Use: sudo service pdagent start"
    if record.directory != PENDING and record.why:
        fields["Reason"] = words.shown(record.why, key)
    if words.is_about_key(record):
        fields["Remedy"] = words.to_other_key(number)
    elif record.reason is not None and record.directory != PENDING:
        fields["Remedy"] = f"To send the event again: sudo pd-queue retry {number}"
    fields["Key"] = masked(key)
    if event is not None:
        fields["Kind"] = f"{words.shown(event.action, key)}, Events API {event.version}"
        fields["Dedup key"] = words.shown(event.dedup_key or "-", key)
        fields["Summary"] = words.shown(event.summary, key)
    for name, text in fields.items():
        yield f"{name:<10} {text}", 11
    yield "", 0
    yield "History", 0
    for at, what in happened:
        yield f"  {moment(at)}  {escaped(what)}", 23
    yield "", 0
    yield "Body", 0


def _body_lines(view: View, record: Record) -> list[str]:
    body = _body(view, record)
    if body is not None:
        return json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True).split("\n")
    contents = view.listing().contents(record)
    lines = redacted(contents[:RAW_BYTES].decode("utf-8", "replace"), record.key).split("\n")
    if len(contents) > RAW_BYTES:
        lines.append(f"(the first {RAW_BYTES} of {len(contents)} bytes)")
    return lines


def _body(view: View, record: Record) -> object:
    """The body without its integration key; None if it is no event's, is too large, or is nested
    too deep to be read."""
    try:
        body = _masked(view.listing().body(record), record.key)
        json.dumps(body, indent=2)
    except RecursionError:
        return None
    return body


def _masked(value: object, key: str) -> object:
    """A body without its integration key, wherever the key is in it."""
    if isinstance(value, str):
        return redacted(value, key)
    if isinstance(value, dict):
        return {
            redacted(name, key): masked(str(each))
            if name in (api.V2_KEY, api.V1_KEY)
            else _masked(each, key)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_masked(each, key) for each in value]
    return value

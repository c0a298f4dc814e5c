"""`pd-queue retry` and `purge`: what changes the queue.

Anyone may have filled the queue, so these go through it an event or a batch at a time, and keep
names of it, not bodies.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pdagent import exits
from pdagent.acceptance import say
from pdagent.commands import common, terminal
from pdagent.commands.pd_queue import documents, words
from pdagent.commands.pd_queue.arguments import query
from pdagent.commands.pd_queue.documents import Document
from pdagent.commands.pd_queue.view import View
from pdagent.config import may_exist
from pdagent.event import BadEvent
from pdagent.queue.intervention import BATCH, Gone, Intervention
from pdagent.queue.listing import Listing, Query, Record
from pdagent.queue.pending import Hostile
from pdagent.queue.states import STATES
from pdagent.shown import masked, masked_name, redacted
from pdagent.spool import PENDING

SHOWN = 10

Entry = tuple[str, str]  # directory and name


# --- purge --------------------------------------------------------------------------------------


def purge(view: View, options: argparse.Namespace) -> int:
    wanted = query(options)
    listing = view.listing()
    entries = _entries(listing, wanted, view)
    if listing.too_large and (wanted.dedup_key is not None or wanted.reason is not None):
        text = "too large to be looked into, and left out: name them to remove them"
        say(f"pd-queue: {listing.too_large} event(s) are {text}", 2)
    if options.dry_run:
        return _said(view, options, _records(view, entries), "would be removed")
    if entries and not options.yes and not _confirmed(view, entries):
        say("Nothing was removed.", 2)
        return exits.DONE
    if options.json:
        return _said(view, options, _purged(view, entries), "removed")
    number = sum(1 for _ in view.intervention().purge(entries))
    common.emit([f"{number} event(s) removed.\n"])
    return exits.DONE


def _entries(listing: Listing, wanted: Query, view: View) -> list[Entry]:
    names = listing.names(wanted, view.wall)
    if wanted.dedup_key is None and wanted.reason is None:
        return names  # the names are enough, so no event is opened
    return [(record.directory, record.name) for record in listing.records(wanted, names)]


def _records(view: View, entries: Iterable[Entry]) -> Iterator[Record]:
    return view.listing().records(Query(), entries)


def _purged(view: View, entries: list[Entry]) -> Iterator[Record]:
    """Removes events. Yields those that it removed, as they were."""
    listing, intervention = view.listing(), view.intervention()
    for start in range(0, len(entries), BATCH):
        batch = entries[start : start + BATCH]
        records = list(listing.records(Query(), batch))
        gone = set(intervention.purge(batch))
        yield from (record for record in records if (record.directory, record.name) in gone)


def _confirmed(view: View, entries: list[Entry]) -> bool:
    for line in words.table(view, _records(view, entries[:SHOWN]), terminal.columns(2)):
        say(line[:-1], 2)
    if len(entries) > SHOWN:
        say(f"and {len(entries) - SHOWN} more", 2)
    states = Counter(directory for directory, _ in entries)
    number = ", ".join(f"{count} {STATES[directory]}" for directory, count in states.items())
    lost = " Pending events will not reach PagerDuty." if states[PENDING] else ""
    os.write(2, f"Remove {number} for good?{lost} [y/N] ".encode())
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        say("", 2)  # at the end of file the cursor is still in the line of the question
    return answer.strip().lower() in ("y", "yes")


# --- retry --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Left:
    """Events that were not retried, each with the reason: the name of the delivered event that
    overtook it, or what keeps it from getting another key."""

    overtaken: list[tuple[Record, str]] = field(default_factory=list)
    unfit: list[tuple[Record, str]] = field(default_factory=list)


def retry(view: View, options: argparse.Namespace) -> int:
    key = options.to_key
    if key is not None and not may_exist(key, view.settings):
        hint = common.did_you_mean(key[1:], view.settings.keys or {}, "@")
        text = f"no integration key is named {masked(key)}{hint}"
        return common.fail("pd-queue", text, exits.BAD_DATA)
    left = Left()
    intervention = view.intervention()
    records = _retried(view, intervention, options, left)
    what = "would be set up for retry" if options.dry_run else "set up for retry"
    _said(view, options, records, what, left)
    for record, by in left.overtaken[:SHOWN]:
        _explain(intervention, record, by)
    for record, why in left.unfit[:SHOWN]:
        say(f"pd-queue: not retried: {masked_name(record.name)}: {words.shown(why, record.key)}", 2)
    more = sum(max(0, len(events) - SHOWN) for events in (left.overtaken, left.unfit))
    if more:
        say(f"pd-queue: {more} more were not retried, for reasons like these", 2)
    return exits.BAD_DATA if left.overtaken or left.unfit else exits.DONE


def _retried(
    view: View, intervention: Intervention, options: argparse.Namespace, left: Left
) -> Iterator[Record]:
    """Retries events in the order of their acceptance. Yields those that it did, as they were."""
    wanted, listing = query(options), view.listing()
    try:
        for record in listing.records(wanted, listing.names(wanted, view.wall)):
            try:
                if _retry(intervention, record, options, left):
                    yield record
            except Gone:
                continue
            except (Hostile, BadEvent) as error:
                left.unfit.append((record, f"it can't get another key: {error}"))
    finally:
        if not options.dry_run:
            intervention.finish()


def _retry(
    intervention: Intervention, record: Record, options: argparse.Namespace, left: Left
) -> bool:
    name, event, key = record.name, record.event, options.to_key
    by = None
    if event is not None and event.dedup_key is not None:
        by = intervention.overtaken_by(name, key or record.key, event.chain)
    if by is not None and not options.force:
        left.overtaken.append((record, by))
        return False
    if key is not None and event is None:
        left.unfit.append((record, f"it can't get another key: {record.problem}"))
        return False
    if not options.dry_run:
        if event is None and intervention.expect_again(name):
            return True
        if key is not None:
            name = intervention.readdress(name, key)
        intervention.retry(name, as_new=by is not None)
    return True


def _explain(intervention: Intervention, record: Record, by: str) -> None:
    event, key = record.event, record.key
    assert event is not None
    later = intervention.delivered(by)
    kind = words.shown(later.action, key) if later else "event"
    say(
        f"pd-queue: not retried: {masked_name(record.name)}, "
        f"{words.shown(event.action, key)} of {words.shown(event.dedup_key or '', key)}: "
        f"a later {kind} of it was delivered ({masked_name(by)}). "
        "--force retries it all the same.",
        2,
    )


# --- what was done ------------------------------------------------------------------------------


def _said(
    view: View,
    options: argparse.Namespace,
    records: Iterator[Record],
    what: str,
    left: Left | None = None,
) -> int:
    if options.json:
        head = {**documents.head(view, options.command), "dry_run": options.dry_run}
        if options.command == "retry":
            head["to_key"] = None if options.to_key is None else masked(options.to_key)
        events = (documents.event(view, record) for record in records)
        try:
            common.emit(documents.stream(head, events, lambda: _tail(view, left)))
        except (BrokenPipeError, SystemExit):
            for _ in records:  # what was asked for is done, whether or not it can be told
                pass
            raise
        return exits.DONE
    number = 0

    def counted() -> Iterator[Record]:
        nonlocal number
        for record in records:
            number += 1
            yield record

    if options.dry_run:
        common.emit(words.table(view, counted(), terminal.columns()))
    else:
        for _ in counted():
            pass
    common.emit([f"{number} event(s) {what}.\n"])
    return exits.DONE


def _tail(view: View, left: Left | None) -> Document:
    if left is None:
        return {"overtaken": []}
    return {
        "overtaken": [
            {**documents.event(view, record), "by": masked_name(by)}
            for record, by in left.overtaken
        ],
        "unfit": [
            {**documents.event(view, record), "why": redacted(why, record.key)}
            for record, why in left.unfit
        ],
    }

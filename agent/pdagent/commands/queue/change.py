"""`pd-queue retry` and `purge`: what changes the queue."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pdagent import exits
from pdagent.commands import common, screen
from pdagent.commands.queue import documents, words
from pdagent.commands.queue.arguments import query
from pdagent.commands.queue.view import View
from pdagent.log import masked_name
from pdagent.queue.intervention import Overtaken
from pdagent.queue.listing import Record
from pdagent.submission import say

SHOWN = 10
_FILTERS = ("events", "service_key", "incident_key", "older", "newer", "reason")


def is_selective(options: argparse.Namespace) -> bool:
    """Whether the options name anything but everything."""
    return any(getattr(options, name) not in (None, []) for name in _FILTERS)


def purge_problem(options: argparse.Namespace) -> str:
    """What is wrong with the options of a purge, "" if nothing."""
    if options.service_key and options.all_keys:
        return "Only one of specific service key or flag for all keys required"
    if not is_selective(options) and not options.all_keys:
        return "An event, a specific service key, a filter or a flag for all keys required"
    if not (options.yes or options.dry_run or _has_terminal()):
        return "purge needs --yes where there is no terminal to ask on, or --dry-run"
    return ""


def _has_terminal() -> bool:
    return os.isatty(0) and os.isatty(2)


def _selected(view: View, options: argparse.Namespace) -> list[Record]:
    wanted = query(options)
    listing = view.listing
    return list(listing.records(wanted, listing.names(wanted, view.wall)))


# --- purge --------------------------------------------------------------------------------------


def purge(view: View, options: argparse.Namespace) -> int:
    records = _selected(view, options)
    if options.dry_run:
        return _said(view, options, records, "would be removed")
    if not records:
        return _said(view, options, [], "removed")
    if not options.yes and not _confirmed(view, records):
        say("Nothing was removed.", 2)
        return exits.DONE
    entries = [(record.directory, record.name) for record in records]
    gone = set(view.intervention.purge(entries))
    done = [record for record in records if (record.directory, record.name) in gone]
    return _said(view, options, done, "removed")


def _confirmed(view: View, records: Sequence[Record]) -> bool:
    for line in words.table(view, records[:SHOWN], screen.columns(2)):
        say(line[:-1], 2)
    if len(records) > SHOWN:
        say(f"and {len(records) - SHOWN} more", 2)
    states = Counter(record.state for record in records)
    number = ", ".join(f"{count} {state}" for state, count in states.items())
    lost = " Pending events will not reach PagerDuty." if states["pending"] else ""
    os.write(2, f"Remove {number} for good?{lost} [y/N] ".encode())
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        say("", 2)  # end of file: the cursor is still in the question's line
    return answer.strip().lower() in ("y", "yes")


# --- retry --------------------------------------------------------------------------------------


def retry(view: View, options: argparse.Namespace) -> int:
    records = _selected(view, options)
    overtaken = view.intervention.overtaken(records)
    forced = overtaken if options.force else {}
    if not options.force:
        records = [record for record in records if record.name not in overtaken]
    if options.dry_run:
        done, what = records, "would be set up for retry"
    else:
        done, what = list(view.intervention.retry(records, as_new=forced)), "set up for retry"
    return _said(view, options, done, what, {} if options.force else overtaken)


def _said(
    view: View,
    options: argparse.Namespace,
    records: Sequence[Record],
    what: str,
    overtaken: Mapping[str, Overtaken] = MappingProxyType({}),
) -> int:
    if options.json:
        document = {
            **documents.head(view, options.command),
            "dry_run": options.dry_run,
            "events": [documents.event(view, record) for record in records],
            "overtaken": [
                {**documents.event(view, each.record), "by": masked_name(each.by.name)}
                for each in overtaken.values()
            ],
        }
        common.emit([documents.dumps(document) + "\n"])
    else:
        if options.dry_run:
            common.emit(words.table(view, records, screen.columns()))
        common.emit([f"{len(records)} event(s) {what}.\n"])
    for each in list(overtaken.values())[:SHOWN]:
        _explain(each)
    if len(overtaken) > SHOWN:
        say(f"pd-queue: not retried, for the like: {len(overtaken) - SHOWN} more", 2)
    return exits.BAD_DATA if overtaken else exits.DONE


def _explain(each: Overtaken) -> None:
    record, by = each.record, each.by
    event = record.event
    assert event is not None
    key = record.key
    say(
        f"pd-queue: not retried: {masked_name(record.name)}, "
        f"{words.shown(event.action, key)} of {words.shown(event.dedup_key or '', key)}: "
        f"a later {words.shown(by.action, key)} of it was delivered ({masked_name(by.name)}). "
        "--force retries it all the same.",
        2,
    )

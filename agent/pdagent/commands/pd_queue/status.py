"""`pd-queue status`: how many events there are, and what keeps them back.

Scripts ask for it again and again, so what only a terminal or JSON wants is imported for these.
"""

import argparse
from collections.abc import Mapping

from pdagent import exits
from pdagent.acceptance import say
from pdagent.commands import common, terminal
from pdagent.commands.pd_queue import words
from pdagent.commands.pd_queue.view import View
from pdagent.queue.budget import disk_of, many_pending, short_of_room
from pdagent.queue.keys import matches_key
from pdagent.queue.states import Count, counts


def of_key(view: View, key: str | None) -> Mapping[str, Count]:
    """How many events there are, by key."""
    found = counts(view.root)
    return found if key is None else {k: found[k] for k in found if matches_key(k, key, view.lane)}


def status(view: View, options: argparse.Namespace) -> int:
    found = of_key(view, options.service_key)
    if options.json:
        from pdagent.commands.pd_queue import awaited, documents

        document = documents.status(view, found, options.service_key)
        document["expectations"] = awaited.counts(view)
        common.emit([documents.dumps(document) + "\n"])
        return exits.DONE
    lines = words.counts(found) if found else ["Nothing to report."]
    more = _beside_the_table(view, options.service_key, found)
    if terminal.columns() is None:
        # Scripts read the table, so nothing else goes to stdout.
        common.emit(line + "\n" for line in lines)
        for line in more:
            say(line, 2)
    else:
        from pdagent.commands.pd_queue import awaited

        expected = awaited.remark(view)
        more += [expected] if expected else []
        common.emit(line + "\n" for line in [*lines, *([""] if more else []), *more])
    return exits.DONE


def _beside_the_table(view: View, key: str | None, found: Mapping[str, Count]) -> list[str]:
    """What keeps events back, and what else a person should know."""
    columns = terminal.columns()
    pending = {key: count.pending for key, count in found.items()}
    lines = []
    # A script may look at a stopped agent again and again. It is not told each time on stderr.
    held = words.held(view, key, pending) if view.running or columns is not None else []
    if held:
        lines += ["Held:", *(f"  {line}" for line in held)]
    remarks = (
        many_pending(sum(pending.values()), view.settings.pending_warning),
        short_of_room(disk_of(view.root)),
    )
    lines += [f"Warning: {remark}." for remark in remarks if remark]
    if columns is None:
        return lines
    indents = [line[: len(line) - len(line.lstrip())] for line in lines]
    return [
        part
        for line, indent in zip(lines, indents, strict=True)
        for part in words.wrapped(line.lstrip(), columns, indent, indent + "  ")
    ]

"""`pd-queue cancel`: expect something no longer, whoever expects it."""

import argparse
import os

from pdagent import exits
from pdagent.acceptance import say
from pdagent.commands import common, terminal
from pdagent.commands.pd_queue import awaited
from pdagent.commands.pd_queue.view import View
from pdagent.encoding import dumps
from pdagent.queue.elapsed import present
from pdagent.queue.expectation import written
from pdagent.queue.expected import Kept
from pdagent.queue.renewal import TheirSpool
from pdagent.spool import SpoolError

TAKEN_SECONDS = 1.0  # for the daemon to take over the last of them


def cancel(view: View, options: argparse.Namespace) -> int:
    """Says in each user's name what `pd-send expect --cancel` says: so what has lapsed is resolved
    too."""
    found = list(awaited.selected(view, options))
    if options.dry_run:
        now = present()
        lines = [awaited.awaited(each, now) for each in found]
        common.emit(awaited.table(view, lines, terminal.columns()))
        common.emit([f"{len(lines)} expectation(s) would be cancelled.\n"])
        return exits.DONE
    spool = None
    for number, each in enumerate(found):
        try:
            spool = _cancel(view, each)
        except (SpoolError, PermissionError) as error:
            return _failed(error, number)
    if spool is not None:
        spool.see_taken(TAKEN_SECONDS)
    common.emit([f"{len(found)} expectation(s) cancelled.\n"])
    return exits.DONE


def _cancel(view: View, each: Kept) -> TheirSpool:
    spool = TheirSpool(view.root, each.owner)
    found = each.expectation
    trigger = dumps(found.trigger).encode("ascii")
    spool.enqueue(found.key, written(trigger, 0.0, present(), found.by))
    return spool


def _failed(error: SpoolError | PermissionError, number: int) -> int:
    if number:
        say(f"{number} expectation(s) cancelled.", 2)
    cause = error.__cause__ if isinstance(error, SpoolError) else error
    if isinstance(cause, PermissionError) and os.geteuid() != 0:
        text = "only root may cancel what others expect. Use: sudo pd-queue cancel"
        return common.fail("pd-queue", text, exits.NOT_PERMITTED)
    why = error.cause if isinstance(error, SpoolError) else str(error.strerror)
    return common.fail("pd-queue", why, exits.TRY_AGAIN)

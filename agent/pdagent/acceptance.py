"""Acceptance: how an event gets into the spool, and what its sender is told.

All commands that send come here, and so does the local endpoint. Built-in modules only.
"""

import posix
import time

from pdagent.config import key_named, load_keys, may_exist
from pdagent.encoding import unless_blank
from pdagent.event import KEY_CHARS, BadEvent, is_key_name
from pdagent.spool import Spool, SpoolError, poke, wake_fifo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.commands.sending import Sending, Submitted
    from pdagent.config import Config


def body(event: "Submitted", settings: "Config") -> bytes:
    """The body for `event` that goes into the spool."""
    wanted = event.events_api or settings.events_api
    return event.body("v1" if wanted == "v1" else "v2", time.time_ns())


def accept(event: "Submitted", settings: "Config", spool: Spool | None = None) -> None:
    """Puts the event on stable storage. Raises SpoolError, and BadEvent for a key by a name that
    nobody has."""
    # If this user can't read all names, the event is queued. The daemon knows the names, and keeps
    # an event whose name nobody has: see `keys`.
    if not may_exist(event.key, settings):
        # What is no name may be a key behind a needless "@". In a frozen pd-send this import fails
        # on the quick way, as in `event.encode`.
        from pdagent.shown import masked

        named = masked(event.key)
        raise BadEvent(f"no integration key is named {named}. The event was not queued.")
    enqueue(event.key, body(event, settings), settings, spool)


def enqueue(key: str, data: bytes, settings: "Config", spool: Spool | None = None) -> None:
    """Puts a body on stable storage. Raises SpoolError."""
    spool = spool or Spool(settings.spool_dir)
    # A user who may not read the configuration takes the usual spool. If the daemon serves another
    # one, an accepted event would wait for ever.
    if not settings.knows_spool and not poke(wake_fifo(spool.root), b""):
        cause = f"no daemon serves {spool.root}, and the configuration may name another queue"
        raise SpoolError(key, data, cause, "Let this user read the configuration; start pdagentd.")
    spool.enqueue(key, data)


def confirm(request: "Sending", event: "Submitted", settings: "Config") -> None:
    """Says that the event was accepted, and what is doubtful about its keys."""
    if request.quiet:
        return
    if request.confirms:
        say(receipt(event))
    text = doubt(event, settings)
    if text:
        say(f"{request.command}: warning: {text} The event was accepted all the same.", 2)


def doubt(event: "Submitted", settings: "Config") -> str:
    """Why PagerDuty will hardly know the event's key, or its incident's; empty if they look like
    ones. PagerDuty decides, so this never keeps an event from being sent. The text does not hold
    the key, unless it is the name of one."""
    if event.dedup_key is not None and not unless_blank(event.dedup_key):
        return "PagerDuty takes no acknowledgement and no resolve of a blank incident key."
    key = event.key
    if len(key) == KEY_CHARS and key.isascii() and key.isalnum():
        if key[0] == "R" and event.action == "change":
            return "PagerDuty takes no change events by integration keys that begin with R."
        return ""
    if key[0] == "@":
        return ""
    what = f"{len(key)} characters, not {KEY_CHARS}"
    if len(key) == KEY_CHARS:
        what = "something else than letters and digits is in it"
    end = "."
    if is_key_name("@" + key):
        load_keys(settings)  # as far as this user may
        if key_named("@" + key, settings):
            end = f": did you mean @{key}?"
    return f"the integration key does not look like one ({what}){end}"


def receipt(event: "Submitted") -> str:
    """The line that a person, or a script, reads after the event was accepted."""
    if event.dedup_key is None:  # as with a change event
        return "Event processed."
    return f"Event processed. Incident Key: {event.dedup_key}"


def say(text: str, fd: int = 1) -> None:
    """Prints a line past Python's streams: a closed stdout, or one that can't encode a key, must
    not turn an accepted event into a failure."""
    try:
        posix.write(fd, text.encode("utf-8", "surrogateescape") + b"\n")
    except (OSError, UnicodeEncodeError):
        pass

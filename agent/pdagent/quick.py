"""The quick way through the commands that send, in built-in modules only.

It accepts the events of a plain command line and exits. Anything else (help, abbreviated or
attached options, mistakes, a configuration with a problem, a spool that can't be written) it hands
over to the complete way, argparse, and returns.
"""

import posix

from pdagent import config, exits
from pdagent.acceptance import accept, confirm, say
from pdagent.event import BadEvent
from pdagent.spool import SpoolError
from pdagent.submission import NothingToSend, Submission, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pdagent.commands.sending import Sending, Submitted


class Handover:
    """What the quick way leaves to the complete way. A command line may be read twice, but an event
    is accepted only once."""

    __slots__ = ("error", "events", "request", "tried")

    def __init__(self) -> None:
        # The frozen program takes the quick way before Python has its importers, and later on
        # __main__ asks for it again.
        self.tried = False
        # A plain command line, and what can be read only once: stdin, and a key from a pipe.
        self.request: Sending | None = None
        # The events that are still to be accepted, in order; None while they are not known.
        self.events: list[Submitted] | None = None
        # Why the spool did not take the first of them.
        self.error: SpoolError | None = None


handover = Handover()


def send(request: "Sending", arguments: list[str]) -> None:
    """Sends and exits. If it returns, `handover` says how far it got. A second call does
    nothing."""
    if handover.tried:
        return
    handover.tried = True
    hold_standard_descriptors()
    if not request.read(arguments):
        return
    handover.request = request
    try:
        settings, problems = config.load(config.path_from(request.config))
        if config.told_to_senders(problems):
            return
        handover.events = events = list(request.events(settings))
        while events:
            accept(events[0], settings)
            confirm(request, events.pop(0), settings)
    except NothingToSend as nothing:
        if not request.quiet:
            say(f"Nothing to send: {nothing}")
    except (UsageError, BadEvent, ImportError):  # ImportError: see `event.encode`
        return
    except SpoolError as error:
        handover.error = error
        return
    posix._exit(exits.DONE)


def hold_standard_descriptors() -> None:
    """Opens what is closed of descriptors 0 to 2. Otherwise the next file that is opened, an event
    or a FIFO, would be taken for the terminal. They are open for reading only, so that writing to
    them fails as before."""
    try:
        while (fd := _nothing()) <= 2:
            pass
        posix.close(fd)
    except OSError:
        pass


def _nothing() -> int:
    """A file that is empty, open to be read. A chroot may have no /dev. Then it is a pipe that
    nobody writes to: Python does not start with a directory for its stdin."""
    try:
        return posix.open("/dev/null", posix.O_RDONLY)
    except OSError:
        reader, writer = posix.pipe()
        posix.close(writer)
        return reader


def main(arguments: list[str]) -> None:
    """The quick way of `pd-send`."""
    send(Submission(), arguments)

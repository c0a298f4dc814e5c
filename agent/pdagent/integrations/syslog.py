"""The system's log, for commands whose stderr nobody reads. A line is one datagram, and nobody
waits until it is taken."""

import os

from pdagent.shown import masked, printable

SOCKET = "/dev/log"
_USER_ERROR = 1 << 3 | 3  # facility "user", severity "error" (RFC 5424, 6.2.1)
_MAX_BYTES = 1024  # what every syslogd takes (RFC 3164, 4.1)


def without_keys(text: str) -> str:
    """Words about options, with what may be an integration key in the wrong place masked: stderr,
    which cron mails, and the log have other readers than the command line."""
    import re  # which a command without trouble does not need

    word = r"(?<![0-9A-Za-z])[0-9A-Za-z]{20,64}(?![0-9A-Za-z])"  # PagerDuty's keys have 32
    return re.sub(word, lambda found: masked(found[0]), text)


def error(command: str, text: str, path: str = SOCKET) -> None:
    """Logs what somebody should look at. If there is no log, or it is slow, the line is lost."""
    import contextlib  # a command without trouble needs none of these
    import socket

    data = f"<{_USER_ERROR}>{command}[{os.getpid()}]: {printable(text)}".encode("utf-8", "replace")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.setblocking(False)
        log.connect(path)
        log.send(data[:_MAX_BYTES])

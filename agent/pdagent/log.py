"""The daemon's log: `pdagentd.log`, in the old agent's line format and never unbounded, and stderr
in the foreground, which under systemd is the journal. Integration keys show as their last four
characters."""

import contextlib
import logging
import logging.handlers
import os
import sys

FORMAT = "%(asctime)s %(levelname)-7s %(threadName)-20s %(name)-20s %(message)s"
FILE_BYTES = 1_048_576
FILES = 5


def set_up(log_dir: str, foreground: bool) -> None:
    """Starts logging. A log file that can't be written must not stop the daemon: then it is stderr
    alone."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    logging.raiseExceptions = False  # a full disk must not end in tracebacks
    problem = None
    try:
        root.addHandler(_file(log_dir))
    except OSError as error:
        problem = f"cannot write {log_dir}/pdagentd.log: {error.strerror}; logging to stderr only"
    if foreground or problem:
        console = logging.StreamHandler(sys.stderr)
        console.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        root.addHandler(console)
    if problem:
        logging.getLogger("pdagent.log").warning(problem)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of what verdicts say better


def last_words(log_dir: str, text: str) -> None:
    """Writes why a daemon does not even start into its log, if there can be one."""
    with contextlib.suppress(OSError):
        logging.getLogger().addHandler(_file(log_dir))
        logging.getLogger("main").error("%s", text)


def _file(log_dir: str) -> logging.Handler:
    os.makedirs(log_dir, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        f"{log_dir}/pdagentd.log", maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler


def masked(key: str) -> str:
    """An integration key as logs may show it."""
    return "*" + printable(key[-4:] if len(key) > 8 else "")


def masked_name(name: str) -> str:
    """A spool file's name as logs may show it, whether it is an event's or not."""
    head, underscore, rest = name.removesuffix(".txt").partition("_")
    return printable(head)[:40] + (underscore and "_" + masked(rest))


def redacted(text: str, key: str) -> str:
    """Somebody else's words, which may quote the key."""
    return text.replace(key, masked(key)) if key else text


def printable(text: str) -> str:
    """Text of unknown origin, as one line."""
    return "".join(c if c.isprintable() else "?" for c in text)

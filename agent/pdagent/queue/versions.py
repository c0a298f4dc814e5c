"""Versions: whether the files of the configuration are still as the daemon has read them.

A version is short, and says nothing of a file's name or contents: every user may read what the
daemon tells.
"""

import os
from collections.abc import Iterable, Iterator

from pdagent.config import Config

# The settings that name files which the daemon reads at its start and at a reload. It reads the
# token, certificate and authorities for its way to PagerDuty again by itself.
_NAMED = ("keys_file", "listen_tokens_file", "listen_cert", "listen_key", "listen_client_ca")


def named(settings: Config) -> Iterator[str]:
    """The files that the settings name, and that a reload reads."""
    for name in _NAMED:
        if path := str(getattr(settings, name)):
            yield path


def version(path: str) -> str:
    """What changes whenever the file gets other contents; "" for a file that is not there. Raises
    PermissionError."""
    try:
        found = os.stat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):  # a NUL in the path
        return ""
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"


def versions(paths: Iterable[str]) -> tuple[str, ...]:
    """The versions of the files that are there, and that this user may see, each once."""
    found: dict[str, None] = {}
    for path in paths:
        try:
            found[version(path)] = None
        except PermissionError:
            continue
    return tuple(each for each in found if each)

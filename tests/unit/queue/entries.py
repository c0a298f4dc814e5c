"""Entries of a queue for tests: an event, and all that is none."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pdagent.queue.pending import EVENT_BYTES_MOST
from pdagent.spool import file_name

NAME = file_name(5, "KEY1")
V2 = b'{"routing_key":"KEY1","event_action":"trigger","dedup_key":"fire"}'


def put(root: Path, name: str = NAME, data: bytes = V2, place: str = "pdq") -> Path:
    path = root / place / name
    path.write_bytes(data)
    return path


def hostile(path: Path, kind: str) -> None:
    """Makes a hostile entry of that kind."""
    contents = {
        "empty": b"",
        "not JSON": b"disk full",
        "cut off": V2[:-5],
        "not UTF-8": b'{"routing_key":"\xff"}',
        "UTF-16": '{"routing_key":"K"}'.encode("utf-16"),
        "no object": b'["routing_key"]',
        "no key": b'{"event_action":"trigger"}',
        "nested": b'{"a":' * 100_000 + b"}",
        "a number too long": b'{"routing_key":"K","x":' + b"9" * 5000 + b"}",
        "too large": b'{"routing_key":"' + b"x" * EVENT_BYTES_MOST + b'"}',
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "dangling link":
        path.symlink_to("/nowhere")
    elif kind == "looping link":
        path.symlink_to(path.name)
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f"/proc/self/fd/{here}/{path.name}")  # paths of sockets are short
        os.close(here)


HOSTILE = {
    "empty": "it is empty",
    "not JSON": "it is not JSON",
    "cut off": "it is not JSON",
    "not UTF-8": "it is not UTF-8",
    "UTF-16": "it is not JSON",
    "no object": "it is not a JSON object",
    "no key": "neither a routing_key nor a service_key",
    "nested": "it is nested too deep",
    "a number too long": "it is not JSON",
    "too large": "it is larger than 4194304 bytes",
    "sparse": "it is larger than 4194304 bytes",
    "link": "it is a symbolic link",
    "dangling link": "it is a symbolic link",
    "looping link": "it is a symbolic link",
    "FIFO": "it is not a regular file",
    "socket": "it is not a regular file",
}


class Counted:
    """A function, and how often it was called."""

    def __init__(self, function: Callable[[str], object]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, path: str) -> object:
        self.calls += 1
        return self._function(path)


def with_bad_inode(name: str) -> Callable[[str], Any]:
    """A `scandir` on a disk that tells nothing of the entry of this name."""
    scandir = os.scandir

    class Bad:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name = entry.name

        def stat(self, **_: bool) -> os.stat_result:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    @contextlib.contextmanager
    def failing(path: str) -> Iterator[Any]:
        with scandir(path) as entries:
            yield (Bad(entry) if entry.name == name else entry for entry in entries)

    return failing

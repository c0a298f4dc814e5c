"""Pending events, as many as a benchmark needs, put into the spool without waiting for the disk."""

import os
import time
from collections.abc import Iterator

from pdagent.event import Event
from pdagent.spool import file_name
from tests.support.agent import Agent
from tests.support.users import AGENT, ROOT


def body(key: str, number: int) -> bytes:
    """An event as pd-send makes it from an ordinary command line."""
    event = Event(
        key,
        "trigger",
        f"Disk {number} is 93% full",
        dedup_key=f"disk-{number}",
        details={"mount": "/var", "host": "web1.example.org"},
        source="web1.example.org",
    )
    return event.body("v2", time.time_ns())


def keys(count: int) -> list[str]:
    return [f"{number:032}" for number in range(count)]


def fill(agent: Agent, among: list[str], count: int) -> Iterator[str]:
    """Makes `count` events pending, those of all keys in turn; yields the name of each."""
    first = time.time_ns() // 1000
    for number in range(count):
        key = among[number % len(among)]
        name = file_name(first + number, key)
        put(agent, name, body(key, number))
        yield name


def put(agent: Agent, name: str, data: bytes) -> None:
    # whole before it has its name in pdq/: a daemon that runs may look there at any moment
    path = f"{agent.spool}/tmp/{name}"
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640)
    os.write(fd, data)
    if ROOT:
        os.fchown(fd, AGENT.uid, AGENT.gid)
    os.close(fd)
    os.rename(path, f"{agent.spool}/pdq/{name}")

"""What the local endpoint takes: durable accepts from 20 clients, beside 20 threads that only write
and sync files of that size."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Budget, Row
from benchmarks.subject import Subject
from tests.support.agent import Agent, directory
from tests.support.events import KEY

CLIENTS = 20
SECONDS = 3.0
ROUNDS = 3
LEAST = 500.0  # per second
BODY = json.dumps(
    {
        "routing_key": KEY,
        "event_action": "trigger",
        "payload": {"summary": "Disk is full", "source": "db1", "severity": "error"},
    }
).encode()
REQUEST = (
    b"POST /v2/enqueue HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
) + BODY


def run(subject: Subject) -> Iterator[Row]:
    ours, bare = [], []
    with directory() as root, Agent(root, "http://127.0.0.1:9", subject.command) as agent:
        path = root / "run" / "events.sock"
        agent.configure(events_url="http://127.0.0.1:9", listen=path)
        agent.start()
        for _ in range(ROUNDS):
            bare.append(rate(lambda number: syncing(root / "lib" / f"bare-{number}")))
            ours.append(rate(lambda _: asking(path)))
        agent.stop()
    budget = Budget(LEAST, at_least=True, of="figure")
    reference = f"{CLIENTS} threads, write and fsync"
    yield Row(f"durable accepts, {CLIENTS} clients", ours, "/s", reference, bare, budget)


def rate(make: Callable[[int], Callable[[], None]]) -> float:
    """How often per second threads manage to do what they do."""
    done = [0] * CLIENTS
    until = time.monotonic() + SECONDS

    def work(number: int) -> None:
        once = make(number)
        while time.monotonic() < until:
            once()
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - began)


def syncing(directory: Path) -> Callable[[], None]:
    directory.mkdir(exist_ok=True)
    numbers = iter(range(1_000_000))

    def once() -> None:
        fd = os.open(directory / str(next(numbers)), os.O_CREAT | os.O_WRONLY)
        os.write(fd, BODY)
        os.fsync(fd)
        os.close(fd)

    return once


def asking(path: Path) -> Callable[[], None]:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))

    def once() -> None:
        client.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"}"):
            answer += client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 202"), answer

    return once

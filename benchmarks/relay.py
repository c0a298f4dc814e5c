"""One relay and 200 senders, over TLS: durable accepts, how long the slowest wait, memory; and that
nothing is lost or out of order when the relay is killed and started anew in the middle.

The senders are 200 connections, each with a token and a dedup key of its own, which send the next
event when the last was taken, and the same again when it was not. While they send, PagerDuty is
away: so all that the relay does is to take events. Then PagerDuty is there, and gets all of it.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

from benchmarks.accept import rate, syncing
from benchmarks.figures import Budget, Row
from benchmarks.subject import Subject
from tests.support.agent import Agent, directory, wait_until
from tests.support.events import KEY
from tests.support.events_api import EventsApi
from tests.support.events_api.certificates import CertificateAuthority
from tests.support.users import AGENT, ROOT

SENDERS = 200
SECONDS = 6.0
KEYS = 20
LEAST = 300.0  # accepts per second, while the senders have the same two processors
SLOWEST = 2000.0  # milliseconds, for 99 of 100
MEGABYTES = 60.0


def run(subject: Subject) -> Iterator[Row]:
    with EventsApi() as api, directory() as root, Agent(root, api.url, subject.command) as agent:
        api.stop()
        senders = _prepare(agent, api, root)
        agent.start()
        bare = [rate(lambda number: syncing(root / "lib" / f"bare-{number}"))]
        asyncio.run(_send(senders, SECONDS))
        took = [seconds for sender in senders for seconds in sender.took]
        memory = _megabytes(agent)
        # in the middle of it the relay dies
        asyncio.run(_send(senders, SECONDS, agent))
        api.start()
        taken = sum(sender.next for sender in senders)
        wait_until(lambda: not agent.names("pdq"), seconds=300.0)
        _check(api, senders)
        agent.stop()
    name = f"relay, {SENDERS} senders over TLS"
    yield Row(
        f"{name}: durable accepts",
        [len(took) / SECONDS],
        "/s",
        "20 threads, write and fsync",
        bare,
        Budget(LEAST, at_least=True, of="figure"),
    )
    slowest = quantiles(took, n=100)[98] * 1000
    yield Row(f"{name}: p99", [slowest], "ms", "", [], Budget(SLOWEST, of="figure"))
    yield Row(f"{name}: memory", [memory], "MB", "", [], Budget(MEGABYTES, of="figure"))
    yield Row(f"{name}: events, with a restart; none lost, all in order", [float(taken)], "", "")


def _prepare(agent: Agent, api: EventsApi, root: Path) -> "list[Sender]":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (root / "tls").mkdir(mode=0o755)
    ca = CertificateAuthority(str(root / "tls"))
    cert, key = ca.files(str(root / "tls"), "127.0.0.1")
    tokens = root / "tokens"
    tokens.write_text("".join(f"sender{n} = token-{n:016}\n" for n in range(SENDERS)))
    for file in (tokens, Path(key)):
        file.chmod(0o640)
        if ROOT:
            os.chown(file, 0, AGENT.gid)
    agent.configure(
        events_url=api.url,
        listen=f"0.0.0.0:{port}",
        listen_cert=cert,
        listen_key=key,
        listen_tokens_file=tokens,
    )
    tls = ssl.create_default_context(cafile=ca.ca_file)
    return [Sender(number, port, tls) for number in range(SENDERS)]


class Sender:
    """One host that sends through the relay."""

    def __init__(self, number: int, port: int, tls: ssl.SSLContext) -> None:
        self.chain = f"host{number}"
        self.next = 0  # how many were taken
        self.took: list[float] = []
        self._number = number
        self._port = port
        self._tls = tls

    async def send_until(self, end: float) -> None:
        while time.monotonic() < end:
            # the relay may be away: the same event is sent again
            with contextlib.suppress(OSError, EOFError):
                await self._connected(end)
            await asyncio.sleep(0.05)

    async def _connected(self, end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        try:
            while time.monotonic() < end:
                began = time.monotonic()
                writer.write(self._request())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 202"):
                    raise OSError(head.decode())
                self.took.append(time.monotonic() - began)
                self.next += 1
        finally:
            writer.close()

    def _request(self) -> bytes:
        payload = {"summary": f"{self.next}", "source": self.chain, "severity": "error"}
        body = json.dumps(
            {
                "routing_key": f"{self._number % KEYS:02}{KEY[2:]}",
                "event_action": "trigger",
                "dedup_key": self.chain,
                "payload": payload,
            }
        ).encode()
        head = (
            "POST /v2/enqueue HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer token-{self._number:016}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _send(senders: list[Sender], seconds: float, dies: Agent | None = None) -> None:
    end = time.monotonic() + seconds
    tasks = [asyncio.create_task(sender.send_until(end)) for sender in senders]
    if dies is not None:
        await asyncio.sleep(seconds / 3)
        dies.end(signal.SIGKILL)
        await asyncio.to_thread(dies.start)
    await asyncio.gather(*tasks)


def _megabytes(agent: Agent) -> float:
    assert agent.daemon is not None
    status = Path(f"/proc/{agent.daemon.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _check(api: EventsApi, senders: list[Sender]) -> None:
    """Each chain's events came in order. One may have come twice, where the relay died between
    PagerDuty's answer, or its own, and what it does next."""
    came: dict[str, list[int]] = {sender.chain: [] for sender in senders}
    for request in api.requests:
        if request.accepted is not None and request.event is not None:
            number = int(json.loads(request.body)["payload"]["summary"])
            chain = came[str(request.dedup_key)]
            if not chain or chain[-1] != number:
                chain.append(number)
    for sender in senders:
        assert came[sender.chain][: sender.next] == list(range(sender.next)), sender.chain

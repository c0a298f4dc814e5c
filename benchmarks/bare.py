"""The reference for delivery: a loop that posts events with `requests`, and nothing else.

`python -m benchmarks.bare URL CA_FILE` reads how many events to post from a line of its input, and
answers with a line: when it began (as time.monotonic), and its wall-clock and CPU seconds.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Self

import requests

from benchmarks.backlog import body

KEY = "bare0000000000000000000000000000"


def main() -> None:
    url, ca_file = sys.argv[1:]
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file or True
    for line in sys.stdin:
        bodies = [body(KEY, number) for number in range(int(line))]
        began, cpu, wall = time.monotonic(), time.process_time(), time.perf_counter()
        for data in bodies:
            answer = session.post(
                f"{url}/v2/enqueue",
                data=data,
                headers={"Content-Type": "application/json"},
                timeout=30,
            )
            answer.raise_for_status()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps([began, wall, cpu]), flush=True)


@dataclass(frozen=True, slots=True)
class Took:
    began: float
    wall: float
    cpu: float


class Bare:
    """That loop as a process of its own, warmed up."""

    def __init__(self, url: str, ca_file: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", url, ca_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.post(1)

    def post(self, count: int) -> Took:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return Took(*json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    main()

"""Runs benchmarks and prints one table."""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks import (
    accept,
    cpu,
    drain,
    enqueue,
    growth,
    idle,
    latency,
    listing,
    neighbours,
    relay,
    scan,
    soak,
)
from benchmarks.figures import table
from benchmarks.subject import PROGRAM, Subject

BENCHMARKS = {
    "enqueue": enqueue.run,
    "latency": latency.run,
    "cpu": cpu.run,
    "drain": drain.run,
    "neighbours": neighbours.run,
    "scan": scan.run,
    "listing": listing.run,
    "accept": accept.run,
    "relay": relay.run,
    "idle": idle.run,
    "growth": growth.run,
    "soak": soak.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--program", type=Path, default=PROGRAM, help="default: %(default)s")
    parser.add_argument("--source", action="store_true", help="not the frozen program")
    parser.add_argument("--scale", type=float, default=1.0, help="of all backlogs")
    parser.add_argument("--plot", type=Path, metavar="DIRECTORY", help="draw growth and soak there")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    frozen = options.program.exists() and not options.source
    subject = Subject(options.program if frozen else None, options.scale, options.plot)
    began = time.monotonic()
    rows = []
    for name in options.names or BENCHMARKS:
        print(f"{name} …", end=" ", flush=True, file=sys.stderr)
        rows += list(BENCHMARKS[name](subject))
    print(file=sys.stderr)
    print(f"The agent {subject.name}. Medians (least-most) of values taken in turn.\n")
    print(table(rows))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} processors, load {load}.")
    if not frozen:
        print(f"The budgets are meant for the frozen program: `make freeze` makes {PROGRAM}.")


if __name__ == "__main__":
    main()

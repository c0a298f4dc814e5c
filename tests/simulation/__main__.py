"""`python -m tests.simulation SEED` replays a seed, step by step; `FIRST-LAST` looks for seeds that
fail; `FIRST-LAST FAULT` puts a fault of `sabotage` in and looks for the first seed that finds it.

    $ python -m tests.simulation 4711 | less
    $ python -m tests.simulation 1-20000
    $ python -m tests.simulation 1-2000 'a link is not synced'
"""

import contextlib
import multiprocessing
import os
import sys

from tests.simulation.day import Day
from tests.simulation.sabotage import sabotaged


def tried(seed: int, fault: str = "") -> str:
    """What goes wrong, "" if nothing does."""
    try:
        with sabotaged(fault) if fault else contextlib.nullcontext():
            Day(seed).run()
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


def tried_with(job: tuple[int, str]) -> str:
    return tried(*job)


def main(seeds: str, fault: str = "") -> int:
    first, dash, last = seeds.partition("-")
    if not dash:
        with sabotaged(fault) if fault else contextlib.nullcontext():
            Day(int(first), tell=print).run()
        return 0
    failed = 0
    jobs = [(seed, fault) for seed in range(int(first), int(last) + 1)]
    with multiprocessing.Pool() as pool:
        for problem in pool.imap(tried_with, jobs, chunksize=4):
            if problem:
                failed += 1
                print(problem, flush=True)
                if fault:
                    break
    print(f"{len(jobs)} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # by which sets are walked through
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main(*sys.argv[1:]))

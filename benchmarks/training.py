"""What the program's compiler learns from (ci/runtime/profile.sh): what it does all day. Not a
benchmark: it measures nothing. usage: python -m benchmarks.training PROGRAM DIRECTORY

PROGRAM writes how often it came where into DIRECTORY.
"""

import os
import sys
from pathlib import Path

from benchmarks.backlog import fill, keys
from benchmarks.enqueue import EVENT
from benchmarks.subject import Subject, tls_api
from tests.support.users import SENDER

# Starts weigh more than deliveries: a pd-send is what somebody waits for, and what only a daemon
# does must not look as if it were never done, or it would lie far from the rest.
STARTS = 25
SENDS = 4  # each time
EVENTS = 100
KEYS = 10


def main() -> None:
    program, directory = Path(sys.argv[1]), Path(sys.argv[2])
    os.chmod(directory, 0o1777)  # the program runs as several users
    with tls_api() as api, Subject(program, 1.0).agent(api) as agent:
        agent.environment["PROFILE_DIRECTORY"] = str(directory)
        list(fill(agent, keys(KEYS), EVENTS))
        for start in range(1, STARTS + 1):
            agent.start()
            for _ in range(SENDS):
                assert agent.run("pd-send", *EVENT, user=SENDER).returncode == 0
            api.wait_accepted(EVENTS + start * SENDS, timeout=120)
            agent.stop()
        for command in (["pd-send", "-h"], ["pd-queue", "status"]):
            assert agent.run(*command).returncode == 0


if __name__ == "__main__":
    main()

"""The daemon with nothing to do: memory before its first event, after it and after 2,000 more,
wake-ups, CPU."""

import time
from collections.abc import Iterator

from benchmarks.backlog import body, fill, keys
from benchmarks.figures import Budget, Row
from benchmarks.processes import cpu_seconds, resident_megabytes, switches
from benchmarks.subject import Subject, tls_api
from pdagent.spool import Spool
from tests.support.agent import wait_until

SETTLED = 25.0  # seconds after which the workers have gone, and what starting took was given back
MINUTE = 60.0
MANY = 2_000


def run(subject: Subject) -> Iterator[Row]:
    with tls_api() as api, subject.agent(api) as agent:
        agent.start()
        assert agent.daemon is not None
        pid = agent.daemon.pid
        time.sleep(SETTLED)
        before = resident_megabytes(pid)
        key = keys(1)[0]
        Spool(str(agent.spool)).enqueue(key, body(key, 0))
        wait_until(lambda: agent.names("suc"))
        time.sleep(SETTLED)
        after = resident_megabytes(pid)
        api.reset()
        for name in fill(agent, keys(20), MANY):
            Spool(str(agent.spool)).wake(name)
        wait_until(lambda: len(agent.names("suc")) == 1 + MANY)
        time.sleep(SETTLED)
        later = resident_megabytes(pid)
        then, cpu = switches(pid), cpu_seconds(pid)
        time.sleep(MINUTE)
        woken = sum(count - then.get(task, 0) for task, count in switches(pid).items())
        cpu = cpu_seconds(pid) - cpu
    yield Row("memory before the first event", [before], "MB", budget=Budget(12, of="figure"))
    yield Row("memory after it (TLS)", [after], "MB", budget=Budget(28, of="figure"))
    budget = Budget(28, of="figure")
    yield Row(f"memory after {MANY:,} more", [later], "MB", budget=budget)
    yield Row("context switches in an idle minute", [woken], "", budget=Budget(12, of="figure"))
    yield Row("CPU in an idle minute", [cpu], "s")

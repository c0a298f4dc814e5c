"""`make demo`: what pdagent does, in a quarter of a minute, with real processes and no PagerDuty.

Exit code 0 only if all of it was so; otherwise the last lines say what was not.
"""

import shlex
import subprocess
import sys
import time

from tests.support.agent import Agent, directory, wait_until
from tests.support.events_api import EventsApi, Request
from tests.support.users import ROOT, SENDER, User

KEY = "0123456789abcdef0123456789demo00"
LOOK_SECONDS = 600  # between two looks into the queue: no event may have waited for one
AWAY = [
    ("trigger", "cpu", "Load average is 40"),
    ("trigger", "backup", "Backup has failed"),
    ("acknowledge", "cpu", ""),
    ("acknowledge", "backup", ""),
    ("resolve", "backup", ""),
    ("resolve", "cpu", ""),
]
STATES = {"trigger": "open", "acknowledge": "acknowledged", "resolve": "resolved"}


class Demo:
    """The demonstration, and what did not hold in it."""

    def __init__(self, api: EventsApi, agent: Agent) -> None:
        self._api = api
        self._agent = agent
        self.failures: list[str] = []

    def run(self) -> None:
        self._start()
        self._live()
        self._outage()
        self._recovery()
        self._check(self._agent.stop() == 0, "pdagentd stopped in good order")

    def _start(self) -> None:
        heading("A local Events API, and the agent")
        print(f"The API listens on {self._api.url} and answers as PagerDuty documents it.")
        print(f"The agent's files are below {self._agent.root}, for as long as this takes.\n")
        print(f"  $ export PDAGENT_CONF={self._agent.conf}")
        print("  $ pdagentd -f &")
        self._agent.start()

    def _live(self) -> None:
        heading("An incident, from its trigger to its end")
        description = ["-d", "Disk is 93% full", "-f", "mount=/var"]
        for count, action in enumerate(STATES, 1):
            self._command("pd-send", *event(action, "disk"), *description, user=SENDER)
            description = []
            request = self._arrived(count)
            took = self._latency(request)
            state = self._api.incident(KEY, "disk").state
            print(f"  --> {took * 1000:.0f} ms after it was accepted the API answered", end=" ")
            print(f"{request.status}, and the incident is {state}\n")
            self._check(state == STATES[action], f"the {action} made the incident {STATES[action]}")
            self._check(took < LOOK_SECONDS / 10, f"the {action} went out at once")
        print("The first event takes longer: the daemon loads its HTTP library only now.\n")
        self._show_queue(pending=0, delivered=3)

    def _outage(self) -> None:
        heading("PagerDuty cannot be reached")
        self._api.stop()
        print("The API is stopped. Events are accepted all the same:\n")
        for action, incident, description in AWAY:
            more = ["-d", description] if description else []
            self._command("pd-send", *event(action, incident), *more, user=SENDER)
        wait_until(lambda: "cannot be reached" in self._agent.log)
        said = next(line for line in self._agent.log.splitlines() if "cannot be reached" in line)
        print(f"\npdagentd says so, once:\n\n  {said[said.index('PagerDuty') :]}\n")
        self._show_queue(pending=len(AWAY), delivered=3)

    def _recovery(self) -> None:
        heading("PagerDuty is back")
        self._api.start()
        back = time.monotonic()
        self._arrived(3 + len(AWAY))
        print("The API is started again, and gets:\n")
        later = self._api.accepted[3:]
        for request in later:
            action = (request.event or {})["event_action"]
            print(f"  {request.arrived - back:5.2f} s  {action:<12} {request.dedup_key}")
        print()
        came = [(str((r.event or {})["event_action"]), str(r.dedup_key)) for r in later]
        sent = [(action, incident) for action, incident, _ in AWAY]
        self._show_queue(pending=0, delivered=3 + len(AWAY))
        self._check(sorted(came) == sorted(sent), "nothing was lost, nothing came twice")
        self._check(
            by_incident(came) == by_incident(sent),
            "each incident's events came in the order in which they were sent",
        )
        states = {i.state for i in self._api.incidents}
        self._check(states == {"resolved"}, "all incidents are resolved")

    # --- the parts ------------------------------------------------------------------------------

    def _command(self, name: str, *arguments: str, user: User | None = None) -> str:
        print(f"  $ {shlex.join([name, *arguments])}")
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*self._agent.command(name), *arguments],
            env={**self._agent.environment, "PDAGENT_CONF": str(self._agent.conf)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            **(user.popen() if user else {}),
        )
        print("".join(f"  {line}\n" for line in done.stdout.splitlines()), end="")
        self._check(done.returncode == 0, f"{name} exits with 0 (it was {done.returncode})")
        return done.stdout

    def _show_queue(self, pending: int, delivered: int) -> None:
        held = pending > 0
        wait_until(lambda: len(self._agent.names("suc")) == delivered)
        # what is held is told once a second at most
        wait_until(lambda: (b"next try" in self._agent.run("pd-queue", "status").stderr) == held)
        table = self._command("pd-queue", "status").splitlines()
        self._check(
            table[2] == f"{KEY:<35}{pending:>10}{delivered:>10}{0:>10}",
            f"pd-queue counted {pending} pending, {delivered} delivered, none in error",
        )

    def _arrived(self, count: int) -> Request:
        """The last of so many events, once it was answered."""
        self._api.wait_accepted(count)
        self._api.wait_for(lambda _: self._api.accepted[count - 1].answered is not None)
        wait_until(lambda: len(self._agent.names("suc")) == count)
        return self._api.accepted[count - 1]

    def _latency(self, request: Request) -> float:
        """Seconds from when pd-send gave the newest event its name in the spool to the answer."""
        accepted = int(self._agent.names("suc")[-1].partition("_")[0]) / 1e6
        assert request.answered is not None
        return request.wall + (request.answered - request.arrived) - accepted

    def _check(self, held: bool, what: str) -> None:
        if not held:
            self.failures.append(what)


def event(action: str, incident: str) -> list[str]:
    return ["-k", KEY, "-t", action, "-i", incident]


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def by_incident(events: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The events in groups, each in the order in which it was."""
    return sorted(events, key=lambda event: event[1])


def main() -> int:
    began = time.monotonic()
    failures = []
    with (
        EventsApi() as api,
        directory() as root,
        # that PagerDuty is back is noticed within this many seconds, instead of a minute
        Agent(root, api.url, backoff_interval_secs=2, send_interval_secs=LOOK_SECONDS) as agent,
    ):
        demo = Demo(api, agent)
        try:
            demo.run()
        except (AssertionError, TimeoutError) as error:
            failures.append(str(error))
        failures += demo.failures
        if failures:
            print(f"\nThe daemon's log:\n\n{agent.log}")
    who = "root, with the agent and the sender as users of their own" if ROOT else "a plain user"
    print(f"\n{time.monotonic() - began:.0f} s, as {who}.")
    for failure in failures:
        print(f"This did NOT hold: {failure}", file=sys.stderr)
    if not failures:
        print("All of it held: nothing lost, nothing twice, in order, and at once where possible.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

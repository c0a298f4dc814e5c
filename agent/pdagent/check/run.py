"""Runs checks: all at once, each for a bounded time, none able to spoil another."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pdagent import threads
from pdagent.check.finding import Finding, failed, unknown
from pdagent.check.inside import Inside, Service

SECONDS = 25.0  # more than connecting and waiting for an answer may take together

_BUG = "Please report this: it is a bug."

Look = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """What to look at, and how. `inside`: as the service sees it."""

    subject: str
    look: Look
    inside: bool = False


@dataclass(slots=True)
class _Running:
    check: Check
    findings: list[Finding] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        subject = self.check.subject
        try:
            for finding in self.check.look():
                self.findings.append(finding)
        except PermissionError as error:
            self.findings.append(
                unknown(subject, f"this user may not look at {error.filename}", "Run it as root.")
            )
        except Exception as error:  # a check that fails is a finding, like any other
            text = f"could not be checked: {type(error).__name__}: {error}"
            self.findings.append(failed(subject, text, _BUG))
        finally:
            self.done.set()


def run(
    checks: Sequence[Check], seconds: float = SECONDS, service: Service | None = None
) -> list[Finding]:
    """What the checks found, in their order. Takes no longer than `seconds`. `service`: whom this
    process, which is root's, can look like."""
    apart = [check for check in checks if check.inside] if service is not None else []
    # First of all, since a process with threads must not fork.
    inside = Inside(service, lambda: _all(apart, seconds - 1)) if service and apart else None
    found = _all([check for check in checks if check not in apart], seconds)
    if inside is not None:
        theirs = inside.findings(time.monotonic() + seconds)
        if theirs is None:
            text = "the process that was to look as the service does gave no answer"
            theirs = [failed(check.subject, text, _BUG) for check in apart]
        found += theirs
    places = {check.subject: place for place, check in enumerate(checks)}
    return sorted(found, key=lambda finding: places[finding.subject])  # the sort is stable


def _all(checks: Sequence[Check], seconds: float) -> list[Finding]:
    running = [_Running(check) for check in checks]
    for each in running:
        # A look that hangs (in a name service, say) must not keep the others from being shown.
        # Where there is no thread to be had, the looks take their turns.
        if threads.start(each.run, each.check.subject) is None:
            each.run()
    deadline = time.monotonic() + seconds
    findings = []
    for each in running:
        in_time = each.done.wait(max(0.0, deadline - time.monotonic()))
        findings += list(each.findings)
        if not in_time:
            text = f"no answer within {seconds:.0f} s"
            remedy = "See what makes this host so slow, and look again."
            findings.append(failed(each.check.subject, text, remedy))
    return findings

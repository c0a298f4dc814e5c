"""What the daemon tells about itself: whether events get delivered, and what keeps them back.

The daemon is asked, and `queue.condition` reads its answer. Each finding names the remedy that ends
the trouble.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from pdagent.check.configuration import REPAIR, credential, files
from pdagent.check.configuration import SUBJECT as CONFIGURATION
from pdagent.check.finding import Finding, failed, ok, several, warning
from pdagent.check.host import Host
from pdagent.check.network import remedy_of
from pdagent.check.service import fresh_condition
from pdagent.check.wayout import Ask
from pdagent.config import Config
from pdagent.queue import condition, holds
from pdagent.queue.backlog import Backlog
from pdagent.queue.condition import Condition, Trouble
from pdagent.queue.holds import Cause, Hold
from pdagent.queue.names import stamp
from pdagent.queue.versions import named, version
from pdagent.settings import CREDENTIALS
from pdagent.shown import hour
from pdagent.spool import PENDING, poke, wake_fifo
from pdagent.wire.verdict import CIRCLE

SUBJECT = "delivery"
# An older pending event is stuck if nothing is known that holds it.
STUCK_SECONDS = 60.0
# What the unit's sandbox hides from the service, where there is systemd.
_HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108


def delivery(path: str, settings: Config, host: Host, ask: Ask) -> Iterator[Finding]:
    """Whether events leave, as the daemon tells it. `path` is the configuration's."""
    # An empty line on its FIFO asks the daemon for its condition. The daemon may answer before this
    # process goes on, so the time is taken first.
    asked = host.monotonic()
    if not poke(wake_fifo(settings.spool_dir), b"\n"):
        return  # nobody reads the FIFO, as the line daemon says
    found = fresh_condition(settings, host, asked, lambda each: each.told >= asked)
    if found is None:
        yield _untold(settings, host)
        return
    now = host.now()
    held = _held(settings)
    if found.outdated:
        text = f"a new {', '.join(found.outdated)} is not in use until a restart"
        yield warning(CONFIGURATION, text, host.service("restart"))
    if found.read:
        yield from _changed(path, settings, host, set(found.read))
    good = True
    for finding in _wrong(path, settings, host, found, held, ask, now):
        good = False
        yield finding
    if good:
        text = "nothing was to be delivered since the daemon started"
        if found.delivered is not None:
            text = f"the last event was delivered at {hour(found.delivered, now)}"
        yield ok(SUBJECT, text)


def _changed(path: str, settings: Config, host: Host, read: set[str]) -> Iterator[Finding]:
    """The files of the configuration that are not as the daemon has read them, by the versions that
    it tells."""
    known = True
    for file in dict.fromkeys([*files(path), *named(settings)]):
        try:
            now = version(file)
        except PermissionError:
            known = False
            continue
        if now and now not in read:
            known = False
            text = f"{file} has changed since the service has read it"
            yield warning(CONFIGURATION, text, host.service("reload"))
        read.discard(now)
    if known and read:
        text = "a file of the configuration was removed since the service has read it"
        yield warning(CONFIGURATION, text, host.service("reload"))


def _held(settings: Config) -> tuple[Hold, ...]:
    """All holds, one by one; none if this user may not see them."""
    try:
        held = holds.told(settings.data_dir)
    except PermissionError:
        return ()
    return held.holds if held is not None else ()


def _wrong(
    path: str,
    settings: Config,
    host: Host,
    found: Condition,
    held: tuple[Hold, ...],
    ask: Ask,
    now: float,
) -> Iterator[Finding]:
    waits = f"; {several(found.pending, 'event waits', 'events wait')}" if found.pending else ""
    for trouble in found.troubles:
        text = f"{trouble}, since {hour(trouble.since, now)}"
        if trouble.is_lesser:
            yield warning(SUBJECT, text, _remedy(trouble, host))
        else:
            yield failed(SUBJECT, f"{text}{waits}", _remedy(trouble, host))
    if found.unreachable:
        yield _unreachable(settings, host, found, ask, now, waits)
    else:
        for url, since in found.lost.items():
            text = f"{url} is not reached since {hour(since, now)}; its events go to another"
            yield warning(SUBJECT, text, "Do what the line 'events API' says of it.")
    for sender, number in found.full.items():
        pending = several(number, "event", "events")
        text = f"{sender} has {pending} pending, and no more of its events are taken"
        remedy = "It keeps the rest. See why it sends so many, or raise listen_pending_per_sender."
        yield warning(SUBJECT, text, remedy)
    for cause, number in found.holds.items():
        whys = sorted({hold.why for hold in held if hold.cause == cause})
        yield from _held_for(cause, number, whys, path, host, waits)
    stuck = found.pending and found.oldest is not None and now - found.oldest > STUCK_SECONDS
    if stuck and not found.holds and all(trouble.is_lesser for trouble in found.troubles):
        text = (
            f"events have waited since {hour(found.oldest, now)}, and nothing is known to hold them"
        )
        yield failed(SUBJECT, f"{text}{waits}", f"{host.service('restart')}; please report this")


def _untold(settings: Config, host: Host) -> Finding:
    """The daemon does not tell how it fares, such as one that is short of descriptors. So the queue
    has to tell whether anything leaves."""
    text = f"pdagentd does not tell how it fares: there is no fresh {condition.path_of(settings)}"
    remedy = f"{host.service('restart')}. Its log says what it cannot do."
    names: list[str] = []
    with contextlib.suppress(FileNotFoundError):  # the line directories says so
        names = Backlog(settings.spool_dir).names(PENDING)
    if names and host.now() - stamp(names[0]) / 1e6 > STUCK_SECONDS:
        since = hour(stamp(names[0]) / 1e6, host.now())
        return failed(SUBJECT, f"{text}, and events have waited since {since}", remedy)
    return warning(SUBJECT, text, remedy)


def _unreachable(
    settings: Config, host: Host, found: Condition, ask: Ask, now: float, waits: str
) -> Finding:
    since = f"since {hour(found.since, now)}"
    text = f"PagerDuty cannot be reached {since}: {found.unreachable}{waits}"
    if CIRCLE in found.unreachable:  # which the question does not find, as it is not sent on
        remedy = "Let one of the agents in the circle send to PagerDuty: events_url. Then reload it"
        return failed(SUBJECT, text, remedy)
    answer = ask()
    if answer.why:
        return failed(SUBJECT, text, remedy_of(answer, settings))
    seconds = max(0.0, (found.next_try or now) - now)
    text = f"PagerDuty could not be reached {since}, and can be now{waits}"
    remedy = f"Wait: the next try is in {seconds:.0f} s. Or at once: {host.service('restart')}"
    return warning(SUBJECT, text, remedy)


def _held_for(
    cause: str, number: int, whys: list[str], path: str, host: Host, waits: str
) -> Iterator[Finding]:
    why = f": {'; '.join(whys[:3])}" if whys else ""
    if cause == Cause.UNNAMED:
        text = f"events are sent to names of keys that nobody has{why}{waits}"
        remedy = (
            f"Add the name to [Keys] in {path}, or to keys_file, then: {host.service('reload')}"
        )
        yield failed(SUBJECT, text, remedy)
    elif cause == Cause.UNREADABLE:
        yield failed(SUBJECT, f"events cannot be read{why}{waits}", REPAIR)
    elif cause == Cause.THROTTLED:
        text = f"PagerDuty throttles {several(number, 'key', 'keys')}{waits}"
        remedy = "Nothing is lost. Send fewer events a minute, or spread them over several keys."
        yield warning(SUBJECT, text, remedy)
    elif cause == Cause.FAILING:
        text = f"PagerDuty fails on {several(number, 'key or incident', 'keys or incidents')}"
        remedy = (
            "They are tried again by themselves. If this lasts, see https://status.pagerduty.com"
        )
        yield warning(SUBJECT, f"{text}{why}{waits}", remedy)


def _remedy(trouble: Trouble, host: Host) -> str:
    """What a person does about a trouble of the service."""
    path = trouble.path
    if trouble.kind == "disk":
        return f"Free some space where {path} is."
    if trouble.why == os.strerror(errno.EROFS):
        return (
            f"Mount the file system of {path} writable; dmesg says whether its disk has errors. "
            f"If only the service cannot write there, its unit needs ReadWritePaths={path}"
        )
    if trouble.why == os.strerror(errno.EXDEV):
        return f"Let all of {os.path.dirname(path)} be one file system: see the line directories."
    if trouble.why == os.strerror(errno.EPERM):
        return f"lsattr -d {os.path.dirname(path)}/* shows an i or an a: chattr -ia takes it off."
    if trouble.why == os.strerror(errno.EIO):
        return f"See dmesg: the disk of {path} has errors."
    if trouble.kind == "endpoint" and trouble.why.startswith("cannot listen"):
        text = f"Free that address, or name another as listen in {path}"
        return f"{text}, then: {host.service('reload')}"
    if trouble.kind == "metrics":
        return _shown_again(trouble, host)
    if trouble.kind in ("endpoint", "rejected"):
        return f"Correct {path}, then: {host.service('reload')}"
    if trouble.kind == "authorities":
        if host.has_systemd and path.startswith(_HIDDEN):
            text = (
                f"Copy it to /etc/ssl, since the service's sandbox hides {path}; name it in ca_file"
            )
            return f"{text}; then: {host.service('reload')}"
        if trouble.why == os.strerror(2):
            return f"Let ca_file name a file that is there, then: {host.service('reload')}"
        return f"chmod a+r {path}, and the directories above it: chmod a+x"
    if path.startswith(CREDENTIALS):
        return credential(path)
    if trouble.kind in ("configuration", "keys") and trouble.why == os.strerror(2):
        return f"Put {path} there again, then: {host.service('reload')}"
    if trouble.kind == "keys" and host.has_systemd and path.startswith(_HIDDEN):
        return f"Move it to /etc, name it in keys_file, then: {host.service('reload')}"
    if trouble.kind == "keys":
        return f"{REPAIR} && {host.service('reload')}"
    target = os.path.realpath(path)
    if host.has_systemd and target.startswith(_HIDDEN):
        text = f"The sandbox of the service's unit hides {target}"
        return f"{text}. To /home a link may lead with ProtectHome=read-only in the unit."
    return REPAIR


def _shown_again(trouble: Trouble, host: Host) -> str:
    """What a person does where metrics are not shown."""
    remedy = f"Correct metrics_listen in {trouble.path}"
    if trouble.why.startswith("cannot listen"):
        remedy = f"Free that address, or name another as metrics_listen in {trouble.path}"
    elif trouble.why.startswith("cannot write"):
        remedy = (
            "Let metrics_file be in a directory where the user pdagent may write. The unit needs "
            "it in ReadWritePaths: /usr/share/doc/pdagent/metrics.md"
        )
    return f"{remedy}; then: {host.service('restart')}"

"""Reload: the daemon reads its configuration again, and says whether it took it up.

A signal has no answer. The daemon tells in its condition when it last began to read, by the clock
that all processes of a host share. A beginning after the signal is the answer to that signal; an
earlier one belongs to somebody else's.
"""

import os
import signal
from collections.abc import Callable

from pdagent import exits
from pdagent.check.host import Host
from pdagent.check.service import fresh_condition, pid_of
from pdagent.config import Config
from pdagent.queue.condition import path_of


class NotReloaded(Exception):
    """The new configuration was not taken up; the text says why. `code` is the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def reload(settings: Config, host: Host, send: Callable[[int, int], None] = os.kill) -> list[str]:
    """Returns once the new configuration is in use. The list says what of it is not in use yet.
    Raises NotReloaded."""
    pid = pid_of(settings, host)
    if pid is None:
        raise NotReloaded(f"pdagentd does not run: {host.service('start')}", exits.TRY_AGAIN)
    try:
        # User pdagent writes the file that names the process. So root signals only a process of the
        # user who owns the queue's state.
        of_agent = os.stat(host.path(f"/proc/{pid}")).st_uid == _owner(settings)
        if not of_agent:
            raise NotReloaded(f"process {pid} is not the agent's", exits.NOT_PERMITTED)
        asked = host.monotonic()
        send(pid, signal.SIGHUP)
    except PermissionError as error:
        text = f"this user may not signal pdagentd: sudo {host.service('reload')}"
        raise NotReloaded(text, exits.NOT_PERMITTED) from error
    except OSError as error:
        raise NotReloaded(f"pdagentd has just ended: {error}", exits.TRY_AGAIN) from error
    found = fresh_condition(
        settings, host, asked, lambda each: each.reloaded is not None and each.reloaded >= asked
    )
    if found is None:
        raise NotReloaded(
            f"pdagentd did not say in {path_of(settings)} whether it took the configuration up: "
            f"see its log in {settings.log_dir}. A new run_dir needs a restart.",
            exits.TRY_AGAIN,
        )
    by_kind = {trouble.kind: str(trouble) for trouble in found.troubles}
    if refused := by_kind.get("rejected"):
        raise NotReloaded(f"{refused}. pdagentd goes on with the old one.", exits.BAD_CONFIG)
    remarks = [by_kind["endpoint"]] if "endpoint" in by_kind else []
    if found.outdated:
        names = ", ".join(found.outdated)
        remarks.append(f"a new {names} is not in use until a restart: {host.service('restart')}")
    return remarks


def _owner(settings: Config) -> int:
    return os.stat(f"{settings.data_dir}/db").st_uid

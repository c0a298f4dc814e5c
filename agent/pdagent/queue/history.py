"""History: what the log says about one event. The log has a line for each try, bounded and rotated,
so nothing else has to be written per event to know it later."""

import os
import re
import time
from collections.abc import Iterator

from pdagent.log import FILES, masked_name

_LINE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d),(\d{3}) [A-Z]+ +\S+ +\S+ +"
    r"(delivered|refused|throttled|failed|in error:) (\S+)(.*)"
)


def from_log(log_dir: str, name: str, about: str) -> Iterator[tuple[float, str]]:
    """When (seconds since the epoch) and what, oldest first, as far back as the log goes. `about`:
    what the log says of the event itself each time, and need not be told again. Raises
    PermissionError."""
    wanted = masked_name(name)
    for path in [f"{log_dir}/pdagentd.log.{n}" for n in range(FILES, 0, -1)] + [
        f"{log_dir}/pdagentd.log"
    ]:
        for line in _lines(path, wanted):
            match = _LINE.fullmatch(line)
            if match is None or match[9].removesuffix(":") != wanted:
                continue
            year, month, day, hour, minute, second, thousandths = map(int, match.groups()[:7])
            at = time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
            rest = match[10].removeprefix(f" {about}").lstrip(": ")
            yield at + thousandths / 1000, f"{match[8].removesuffix(':')}: {rest}"


def _lines(path: str, wanted: str) -> list[str]:
    try:
        with open(path, "rb", opener=_careful) as file:
            data = file.read()
    except PermissionError:
        raise
    except OSError:
        return []
    needle = wanted.encode()
    return [line.decode("utf-8", "replace") for line in data.split(b"\n") if needle in line]


def _careful(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

"""Moments: times as senders write them, in the one form that PagerDuty takes, ISO 8601."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pdagent.queue.numbers import is_number

# The form that PagerDuty's documentation shows.
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_LOOSE = re.compile(
    r"(\d{4})[-/](\d\d?)[-/](\d\d?)[ T]+(\d\d?):(\d\d)(?::(\d\d))?(?:[.,]\d*)?"
    r" *(Z|UTC|[+-]\d\d:?\d\d)?"
)
# A number from 1973 to 5138 in seconds since the epoch, or the same in a smaller unit, is a time.
# Another number is none.
_LEAST, _MOST = 1e8, 1e11
_UNITS = (1, 1e3, 1e6, 1e9)


def iso(value: object) -> str | None:
    """The moment in ISO 8601; None if `value` is no time. A time without a zone is UTC."""
    try:
        if isinstance(value, str):
            return _from_text(value.strip())
        return _from_number(float(value)) if is_number(value) else None
    except (ValueError, OverflowError):  # the 31st of February
        return None


def _from_text(text: str) -> str | None:
    if _PLAIN.fullmatch(text):
        datetime.fromisoformat(text)
        return text
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _from_number(float(text))
    loose = _LOOSE.fullmatch(text)
    if loose is not None:
        year, month, day, hour, minute, second, zone = loose.groups()
        zone = zone if zone and zone != "UTC" else "Z"
        text = f"{year}-{month:>02}-{day:>02}T{hour:>02}:{minute}:{second or '00'}{zone}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = parsedate_to_datetime(text)  # as in e-mail: Fri, 22 Oct 2021 05:01:32 +0000
    return _written(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _from_number(number: float) -> str | None:
    for unit in _UNITS:
        if _LEAST <= number / unit < _MOST:
            return _written(datetime.fromtimestamp(number / unit, UTC))
    return None


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

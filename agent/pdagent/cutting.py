"""Cutting: a body over PagerDuty's limit loses the ends of its longest texts, then later fields.

This module knows what identifies an event and what steers PagerDuty, and leaves that whole. It is
rarely needed, so it is imported only then.
"""

from pdagent import api
from pdagent.encoding import MARK, Body, dumps, room_left, shorten

# What identifies an event or steers PagerDuty: cutting it would make another event of it. (In
# details, these names mean nothing.)
_KEPT_WHOLE = (
    *("agent", "severity", "timestamp", "client_url"),
    *api.V2_FIELDS,
    *api.V1_FIELDS,
)
# Lists of links and images, in v2 and in v1. PagerDuty refuses what else is in them.
_LISTS = (*api.ADDRESSES, "contexts")
_ADDRESSES = ("href", "src")
# In a body that has to be cut, what is nested deeper goes. To look at each level of a body that has
# 400 of them everywhere took a minute.
DEPTH = 50
ADDRESS_CHARS = 2048  # what an address may have whatever else is cut


def cut_down(body: Body, limit: int) -> str:
    """The JSON text of the body, cut until it has `limit` characters at most. Empty where no cut
    helps, because it is nested so deep."""
    chars = items = 65_536
    while items := items // 4:
        chars //= 4
        cut = _cut_body(body, chars, items)
        if room_left(cut, limit) >= 0 and len(text := dumps(cut)) <= limit:
            return text
    return ""


def shrink(body: Body) -> bytes:
    """The body cut down well below the limit, for an API that finds it too large all the same."""
    return dumps(_cut_body(body, 256, 32)).encode("ascii")


def _cut_body(body: Body, chars: int, items: int) -> Body:
    """The body with all of its own fields, those of its payload included, and less in them."""
    cut: Body = {}
    for name, value in body.items():
        if name == "payload" and isinstance(value, dict):
            cut[name] = _cut_body(value, chars, items)
        elif name in _LISTS and isinstance(value, list):
            cut[name] = [_cut_link(item, chars) for item in value[:items] if _leads(item, chars)]
        elif name != "client_url" or _is_whole(value, chars):
            cut[name] = value if name in _KEPT_WHOLE else _cut(value, chars, items)
    return cut


def _is_whole(value: object, chars: int) -> bool:
    """Whether an address is short enough to stay: a part of one leads nowhere."""
    return not isinstance(value, str) or len(value) <= max(chars, ADDRESS_CHARS)


def _leads(link: object, chars: int) -> bool:
    """Whether a link or an image still is one after the cut."""
    return not isinstance(link, dict) or _is_whole(link.get("src", link.get("href")), chars)


def _cut_link(link: object, chars: int) -> object:
    if not isinstance(link, dict):
        return _cut(link, chars, 32)
    return {
        name: value if name in _ADDRESSES else _cut(value, chars, 32)
        for name, value in link.items()
        if name not in _ADDRESSES or _is_whole(value, chars)
    }


def _cut(value: object, chars: int, items: int, depth: int = DEPTH) -> object:
    if isinstance(value, str):
        return shorten(value, max(chars, len(MARK)))
    if not depth and isinstance(value, dict | list):
        return MARK
    if isinstance(value, dict):
        kept = sorted(value)[:items] if len(value) > items else value
        cut = {
            shorten(name, max(chars, len(MARK))): _cut(value[name], chars, items, depth - 1)
            for name in kept
        }
        if len(kept) < len(value):
            cut[MARK] = f"{len(value) - len(kept)} more fields"
        return cut
    if isinstance(value, list):
        rest = len(value) - items
        cut_list = [_cut(item, chars, items, depth - 1) for item in value[:items]]
        return [*cut_list, f"{MARK} {rest} more"] if rest > 0 else cut_list
    return value

"""Names of integration keys: an event in the spool may say `@db` where its key belongs, for senders
who may page but need not see the key. `filling` puts the key there.
"""

from collections.abc import Callable

from pdagent.config import Config, key_named
from pdagent.shown import masked


def lane(key: str, settings: Config) -> str:
    """The integration key that `key` is, or is the name of. Events by the key and events by its
    name keep their order among each other, in one lane."""
    return (key_named(key, settings) or key) if key[:1] == "@" else key


def matches_key(key: str, wanted: str, lane_of: Callable[[str], str] = str) -> bool:
    """Whether `wanted` is this key, or its masked form, or its last four characters, or another
    name of it. `lane_of` gives the key that a name stands for."""
    if wanted == key:
        return True
    key, wanted = lane_of(key), lane_of(wanted)
    return wanted == key or (len(key) > 8 and wanted in (masked(key), key[-4:]))

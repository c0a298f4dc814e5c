"""A name stands for a key from delivery on, and only there."""

import json

import pytest

from pdagent.config import Config
from pdagent.queue.filling import Unnamed, filled_in
from pdagent.queue.pending import Hostile, Pending, understand
from tests.support.events import KEY

CONFIG = Config({}, {"db": KEY})


def pending(**body: object) -> Pending:
    return understand("1_@db.txt", json.dumps(body).encode())


@pytest.mark.parametrize("field", ["routing_key", "service_key"])
def test_the_key_is_filled_in(field: str) -> None:
    """In both versions of the API, however the name is written; all else stays."""
    for name in ("@db", "@DB"):
        filled = filled_in(pending(**{field: name, "dedup_key": "d", "x": [1]}), CONFIG)
        assert filled.body == {field: KEY, "dedup_key": "d", "x": [1]}
        assert (filled.name, filled.key, filled.chain) == ("1_@db.txt", KEY, "=d")


def test_a_key_is_left_alone() -> None:
    """The very bytes."""
    plain = pending(routing_key=KEY)
    assert filled_in(plain, CONFIG) is plain


def test_a_name_that_nobody_has() -> None:
    """Not even where no names are known."""
    for settings in (CONFIG, Config({}, {}), Config({}, None)):
        with pytest.raises(Unnamed, match="named @web") as unnamed:
            filled_in(pending(routing_key="@web"), settings)
        assert unnamed.value.name == "@web"


def test_what_can_not_be_written() -> None:
    """A script's file, nested past every limit."""
    nested = b'{"routing_key": "@db", "x": ' + b"[" * 900 + b"]" * 900 + b"}"
    with pytest.raises(Hostile):
        filled_in(understand("1_@db.txt", nested), CONFIG)

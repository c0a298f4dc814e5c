"""What the check says of expectations."""

import os
from pathlib import Path

import pytest

from pdagent.check.expectations import expectations
from pdagent.check.finding import Level
from pdagent.check.host import Host
from pdagent.config import Config
from pdagent.event import Event
from pdagent.queue.elapsed import present
from pdagent.queue.expectation import written
from pdagent.queue.expected import Expected
from pdagent.queue.renewal import ExpectationSpool
from tests.support.events import KEY
from tests.support.users import ROOT, SENDER


@pytest.fixture
def settings(root: Path) -> Config:
    return Config({"data_dir": str(root.parent)})


def accept(settings: Config, dedup_key: str) -> str:
    trigger = Event(KEY, "trigger", "no backup", dedup_key).body("v2", 0)
    spool = ExpectationSpool(settings.spool_dir)
    return spool.enqueue(KEY, written(trigger, 60.0, present()))


def said(settings: Config, later: float = 0.0) -> list[tuple[Level, str]]:
    host = Host(now=lambda: present().wall + later)
    return [(found.level, found.text) for found in expectations(settings, host)]


def test_nothing_is_expected(settings: Config) -> None:
    """Most hosts need no line that says so."""
    assert said(settings) == []
    os.rmdir(f"{settings.spool_dir}/expected")
    os.rmdir(f"{settings.spool_dir}/expect")
    assert said(settings) == []


def test_what_has_lapsed_is_named(settings: Config) -> None:
    """Until it is renewed or cancelled."""
    expected = Expected(settings.spool_dir, lambda *_: None, lambda *_: None)
    now = present()
    for number in range(4):
        expected.take(accept(settings, f"job {number}"), now)
    taken = expected.take(accept(settings, "job 4"), now)
    assert taken is not None
    assert said(settings) == [(Level.OK, "5 waited for, none has lapsed")]
    expected.lapse(taken[0], type(now)(now.wall + 99, now.running + 99, now.awake, now.boot))
    text = f"not heard of in time, and paged: job 4 (user {os.getuid()}, key *{KEY[-4:]})"
    assert said(settings) == [(Level.WARNING, text)]


def test_what_nobody_takes_over_is_not_watched(settings: Config) -> None:
    """A minute is long."""
    (Path(settings.spool_dir) / "expect" / "theirs").mkdir()
    accept(settings, "backup")
    assert said(settings, 30.0) == []
    [(level, text)] = said(settings, 300.0)
    assert level is Level.FAILED
    assert text == "pdagentd does not take them over: one has waited for 5 min"


def test_what_the_agent_may_not_read_is_not_watched(settings: Config) -> None:
    """After an accident with chmod or chown. What it may read in another way is no accident."""
    expected = Expected(settings.spool_dir, lambda *_: None, lambda *_: None)
    expected.take(accept(settings, "backup"), present())
    [name] = os.listdir(f"{settings.spool_dir}/expected")
    path = Path(settings.spool_dir) / "expected" / name
    path.chmod(0o600)  # its owner is the agent's user
    assert said(settings) == [(Level.OK, "1 waited for, none has lapsed")]
    path.chmod(0o004)
    if ROOT:
        assert said(settings) == [(Level.OK, "1 waited for, none has lapsed")]
        os.chown(path, SENDER.uid, SENDER.gid)
        path.chmod(0o640)
        text = "pdagentd may not read 1 of them, and pages for none of these"
        assert said(settings) == [(Level.FAILED, text)]
        os.chown(path, SENDER.uid, os.getegid())
        assert said(settings) == [(Level.OK, "1 waited for, none has lapsed")]
        path.chmod(0o600)
        assert said(settings) == [(Level.FAILED, text)]

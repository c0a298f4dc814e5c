"""What hosts hand in at /pdagent/expect is expected of them."""

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from pdagent.queue.expectation import Expectation, identity_of, understood
from pdagent.queue.layout import open_wake
from pdagent.serve import awaiting
from tests.support.agent import wait_until
from tests.support.events import KEY
from tests.unit.serve.desk import ALERT, PAYLOAD, Desk


@pytest.fixture
def desk(root: Path) -> Desk:
    return Desk(root)


def expected(desk: Desk) -> list[Expectation]:
    place = desk.root / "expect"
    return [understood((place / name).read_bytes()) for name in sorted(os.listdir(place))]


def test_the_answer_waits_until_the_daemon_has_taken_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nobody can post faster than the daemon takes, where it runs."""
    monkeypatch.setattr(awaiting, "TAKEN_SECONDS", 60.0)
    place = desk.root / "expect"

    def take() -> None:
        wait_until(lambda: list(place.iterdir()))
        time.sleep(0.2)
        for path in place.iterdir():
            path.unlink()

    (desk.root.parent / "db").mkdir(exist_ok=True)
    fd = open_wake(str(desk.root))
    daemon = Thread(target=take)
    daemon.start()
    try:
        assert desk.ask("/pdagent/expect", {**ALERT, "within": 60})[0] == 202
        assert list(place.iterdir()) == []
    finally:
        daemon.join()
        os.close(fd)


def test_a_trigger_is_expected_and_a_resolve_cancels_it(desk: Desk) -> None:
    """For hosts that are dead when it matters. The name of the sender is part of it, where there
    is one: no other one renews or cancels it."""
    desk.named = {"web1": "t" * 16}
    bearer = {"HTTP_AUTHORIZATION": "Bearer " + "t" * 16}
    asked = {**ALERT, "within": 90_000}
    status, said, _ = desk.ask("/pdagent/expect", asked, **bearer)
    assert (status, said["dedup_key"]) == (202, "d")
    resolve = {"routing_key": KEY, "event_action": "resolve", "dedup_key": "d"}
    assert desk.ask("/pdagent/expect", resolve, **bearer)[0] == 202
    one, other = expected(desk)
    assert (one.term, one.by, one.trigger["payload"]["summary"]) == (90_000.0, "web1", "disk full")  # type: ignore[index]
    assert "within" not in one.trigger
    assert other.is_cancelled
    assert identity_of(1, one) == identity_of(1, other)
    assert desk.queued() == []
    assert desk.ask("/pdagent/expect", asked)[0] == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"within": None},
        {"within": "25h"},
        {"within": True},
        {"within": 0},
        {"within": 1e12},
        {"within": 9, "event_action": "acknowledge"},
        {"within": 9, "routing_key": "@nobody"},
        {"within": 9, "payload": {**PAYLOAD, "custom_details": "x" * 70_000}},
        {"within": 9, "payload": None},
    ],
)
def test_what_can_not_be_expected(desk: Desk, changed: dict[str, object]) -> None:
    """Its sender is told why."""
    status, said, _ = desk.ask("/pdagent/expect", {**ALERT, **changed})
    assert status == 400
    assert said["errors"]
    assert expected(desk) == []

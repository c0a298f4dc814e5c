"""The neutral request: whether PagerDuty is reached, whatever an event holds."""

import pytest

from pdagent.config import Config
from pdagent.wire.delivery import Delivery
from pdagent.wire.verdict import Refused, Troubled, Unreachable
from tests.support.events_api import Answer, EventsApi

PAGE = "<h1>Please log in</h1>"


def delivery(api: EventsApi, **settings: str) -> Delivery:
    return Delivery(Config({"events_url": api.url, "source_address": "0.0.0.0", **settings}))


@pytest.mark.parametrize("version", ["auto", "v2", "v1"])
def test_pagerduty_refuses_it_in_its_own_words(api: EventsApi, version: str) -> None:
    """That is how one knows that it is reached; it counts as nobody's event."""
    assert isinstance(delivery(api, events_api=version).probe(), Refused)
    assert api.requests == ()


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_a_web_page_is_not_pagerduty(api: EventsApi, status: int) -> None:
    """Whoever answers with one stands before PagerDuty, for all events."""
    api.always(None, Answer(status, html=PAGE))
    assert isinstance(delivery(api).probe(), Unreachable)


def test_pagerduty_in_trouble_is_reached(api: EventsApi) -> None:
    api.always(None, Answer(503))
    assert isinstance(delivery(api).probe(), Troubled)


def test_nobody_listens(api: EventsApi) -> None:
    """The reason is the one that a delivery gives."""
    api.stop()
    found = delivery(api).probe()
    assert isinstance(found, Unreachable)
    assert "Connection refused" in found.why

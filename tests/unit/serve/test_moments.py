"""Times as senders write them are put into the one form that PagerDuty takes."""

import pytest

from pdagent.serve.moments import iso


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("2021-10-22T05:01:32Z", "2021-10-22T05:01:32Z"),
        ("2021-10-22T05:01:32.123456+02:00", "2021-10-22T05:01:32.123456+02:00"),
        ("2021-10-22T05:01:32.123+0000", "2021-10-22T05:01:32.123+0000"),
        ("2021-10-22 5:01:32", "2021-10-22T05:01:32.000Z"),
        (" 2021/1/2 5:01 ", "2021-01-02T05:01:00.000Z"),
        ("2021-10-22 05:01:32 +0200", "2021-10-22T05:01:32.000+02:00"),
        ("2021-10-22 05:01:32,123 UTC", "2021-10-22T05:01:32.000Z"),
        ("2021-10-22T05:01:32", "2021-10-22T05:01:32.000Z"),
        ("2021-10-22", "2021-10-22T00:00:00.000Z"),
        ("Fri, 22 Oct 2021 05:01:32 +0000", "2021-10-22T05:01:32.000Z"),
        (1634878892, "2021-10-22T05:01:32.000Z"),
        (1634878892.5, "2021-10-22T05:01:32.500Z"),
        ("1634878892", "2021-10-22T05:01:32.000Z"),
        (1634878892123, "2021-10-22T05:01:32.123Z"),
        (1634878892123456789, "2021-10-22T05:01:32.123Z"),
    ],
)
def test_times(given: object, moment: str) -> None:
    """What PagerDuty takes stays as it is; a time without a zone is UTC."""
    assert iso(given) == moment


@pytest.mark.parametrize(
    "given",
    ["yesterday", "", "5", 5, -1, True, float("nan"), 10**400, [], {}, "2021-13-01T00:00:00Z"],
)
def test_what_is_no_time(given: object) -> None:
    """Nothing is guessed."""
    assert iso(given) is None

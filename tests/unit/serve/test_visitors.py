"""Programs are served, pages in a browser are not, by whatever name they found this host."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from pdagent.serve.visitors import guarded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def open_to_all(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    start("200 OK", [])
    return []


def status(by_name: bool, **environ: str) -> int:
    said: list[int] = []

    def start(line: str, *_: object) -> "object":
        said.append(int(line.split()[0]))
        return None

    told: list[int] = []
    list(guarded(open_to_all, by_name, told.append)(environ, start))  # type: ignore[arg-type]
    assert told == [code for code in said if code == 403]
    return said[0]


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, 200),
        ({"HTTP_ORIGIN": "http://evil.example.com"}, 403),
        ({"HTTP_ORIGIN": "null"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "none"}, 200),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, 200),
    ],
)
def test_pages_of_others(by_name: bool, environ: dict[str, str], code: int) -> None:
    """They could have any browser on this host send events, to keys by name even."""
    assert status(by_name, **environ) == code


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:49463", 200),
        ("127.0.0.1", 200),
        ("[::1]:49463", 200),
        ("localhost", 200),
        ("LocalHost.:9110", 200),
        ("evil.example.com:49463", 403),
        ("localhost.evil.example.com", 403),
        ("127.0.0.1.evil.example.com", 403),
    ],
)
def test_names_of_others(host: str, code: int) -> None:
    """A page may ask the host that it is from, and DNS may say that this is 127.0.0.1."""
    assert status(False, HTTP_HOST=host) == code
    assert status(True, HTTP_HOST=host) == 200

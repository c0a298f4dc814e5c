"""Visitors: who may ask a server on this host. Programs may. Pages in a browser may not, whoever
made them and by whatever name they found this host.

A browser says in each request which site the page comes from (Fetch Metadata, W3C). A page whose
own name leads to this host (DNS rebinding) is known by that name.
"""

import ipaddress
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# "none": a person has typed the address. "same-origin": a page of this server asks.
_SITES = ("none", "same-origin")


def guarded(
    app: "WSGIApplication", by_name: bool, turned_away: Callable[[int], object]
) -> "WSGIApplication":
    """The application, but strangers are answered 403, and `turned_away` is told so. `by_name`:
    callers may use any name for this host. A loopback address has no other name than localhost."""

    def answer(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        problem = _problem(environ, by_name)
        if not problem:
            return app(environ, start)
        turned_away(403)
        text = {"status": "forbidden", "message": "Forbidden", "errors": [problem]}
        data = json.dumps(text).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
        start("403 Forbidden", headers)
        return [data]

    return answer


def _problem(environ: "WSGIEnvironment", by_name: bool) -> str:
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") not in _SITES:
        return "Pages in a browser are not served"
    if not by_name and not _is_local(environ.get("HTTP_HOST", "")):
        return "The Host header names another host: ask by IP address, or as localhost"
    return ""


def _is_local(host: str) -> bool:
    """Whether a Host header can only mean this host: nobody's DNS can give these names away."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if not name or name.lower().rstrip(".") == "localhost":
        return True
    try:
        return bool(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return False

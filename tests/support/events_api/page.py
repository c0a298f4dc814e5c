"""What a person, or a test in another container, may see and set, beside the API's own paths.

GET / is for people. GET /requests and /incidents are JSON lists. POST /_script takes
{"key": KEY or path or null, "answers": [ANSWER…], "always": ANSWER or null}, an answer being the
fields of `Answer`; POST /_reset forgets what arrived and what was scripted. None of it is recorded.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape

from tests.support.events_api.answers import Answer, Reply, reply
from tests.support.events_api.schema import summary
from tests.support.events_api.state import State

SHOWN = 200
HTML = {"Content-Type": "text/html; charset=utf-8"}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
td { overflow-wrap: anywhere }
th { border-bottom: 2px solid #888 }
.open { color: #b00020 } .acknowledged { color: #9a6700 } .resolved { color: #1a7f37 }
"""


def look(method: str, path: str, body: bytes, state: State) -> Reply | None:
    """The answer, if the path is one of these."""
    match method, path:
        case "GET", "/":
            return reply(200, render(state), HTML)
        case "GET", "/requests":
            return reply(200, [request.as_json() for request in state.record.all()])
        case "GET", "/incidents":
            with state.record.lock:
                return reply(200, [asdict(incident) for incident in state.incidents.all()])
        case "POST", "/_script":
            return _script(body, state)
        case "POST", "/_reset":
            state.reset()
            return reply(200, {"status": "success"})
    return None


def _script(body: bytes, state: State) -> Reply:
    try:
        wish = json.loads(body)
        scope = wish.get("key")
        queue = [Answer(**fields) for fields in wish.get("answers", [])]
        standing = Answer(**wish["always"]) if wish.get("always") else None
    except (ValueError, TypeError, AttributeError) as error:
        return reply(400, {"status": "invalid script", "message": str(error)})
    state.script.queue(scope, *queue)
    if "always" in wish:
        state.script.always(scope, standing)
    return reply(200, {"status": "success"})


def render(state: State) -> str:
    """The newest requests first, and every incident."""
    with state.record.lock:
        incidents = state.incidents.all()
        requests = state.record.all()
    arrived = [
        (
            r.number,
            datetime.fromtimestamp(r.wall).strftime("%H:%M:%S.%f")[:-3],
            r.path,
            r.key or "",
            r.dedup_key or "",
            summary(r.event)[:200] if r.event else "",
            r.status or "none",
        )
        for r in reversed(requests[-SHOWN:])
    ]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Events API</title>"
        f"<style>{STYLE}</style><h1>Local Events API</h1>"
        f"<h2>{len(incidents)} incidents</h2>"
        + _table(
            ("key", "dedup key", "state", "opened", "events", "summary"),
            [(i.key, i.dedup_key, i.state, i.opened, i.events, i.summary) for i in incidents],
        )
        + f"<h2>{len(requests)} requests, the newest {len(arrived)} shown</h2>"
        + _table(("no.", "arrived", "path", "key", "dedup key", "summary", "answered"), arrived)
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    def row(cells: tuple[object, ...], tag: str) -> str:
        return "<tr>" + "".join(_cell(cell, tag) for cell in cells) + "</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"


def _cell(value: object, tag: str) -> str:
    mark = f' class="{value}"' if value in ("open", "acknowledged", "resolved") else ""
    return f"<{tag}{mark}>{escape(str(value))}</{tag}>"

"""The way out: one question to the Events API, put by the daemon's own means, for all who look."""

import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from requests.utils import select_proxy

from pdagent.config import Config
from pdagent.wire import question
from pdagent.wire.connections import proxies
from pdagent.wire.question import Answer

Ask = Callable[[], Answer]


def once(ask: Ask) -> Ask:
    """The same answer for all who want one; they wait for the first."""
    lock = threading.Lock()
    answers: list[Answer] = []

    def asked() -> Answer:
        with lock:
            if not answers:
                answers.append(ask())
            return answers[0]

    return asked


def proxy_of(settings: Config) -> str:
    """The proxy on the way to the Events API, its password included; empty: none."""
    url = settings.base_url
    return select_proxy(url, proxies(settings, url)) or ""


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def ask(settings: Config) -> Answer:
    """Asks the Events API whether it is there."""
    question.begun()
    return question.ask(settings)

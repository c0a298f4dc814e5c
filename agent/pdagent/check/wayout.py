"""The way out: one question to the Events API, put by the daemon's own means, for all who look."""

import threading
import time
from collections.abc import Callable

from pdagent.config import Config
from pdagent.wire import question
from pdagent.wire.connections import Post
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


def ask(settings: Config) -> Answer:
    """Asks the Events API whether it is there."""
    return question.ask(settings, Post(time.monotonic() + question.SECONDS))

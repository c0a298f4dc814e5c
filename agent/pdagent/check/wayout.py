"""The way out: one question to the Events API, put by the daemon's own means, for all who look."""

import threading
import time
from collections.abc import Callable, Sequence

from pdagent.config import Config
from pdagent.wire import question
from pdagent.wire.post import Post
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


class Way:
    """One of the ways out: the `settings` for it, and a question that is put once."""

    def __init__(self, settings: Config) -> None:
        self.settings = settings
        self.ask = once(lambda: ask(settings))


def best(ways: Sequence[Way]) -> Ask:
    """The answer of the first way that leads out; else that of the first."""

    def asked() -> Answer:
        answers = (way.ask() for way in ways)
        return next((answer for answer in answers if not answer.why), ways[0].ask())

    return asked


def ask(settings: Config) -> Answer:
    """Asks the Events API whether it is there."""
    return question.ask(settings, Post(time.monotonic() + question.SECONDS))

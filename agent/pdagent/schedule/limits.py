"""Limits: what the configuration says about who may go, and how long to wait. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`cap`: the longest backoff in seconds. `retry_limit`: troubles before an event may be given
    up. `places`: how many events may be on their way at once, and `per_key` how many of one
    integration key. `relays`: where they go; one destination needs no name."""

    cap: float
    retry_limit: int
    places: int
    per_key: int
    relays: tuple[str, ...] = ("",)

"""The quota: how many expectations a user may have, and a sender to the endpoint.

All that comes to the endpoint is one user's, the agent's. So each sender has a quota of its own,
and all senders together leave room for users. Pure.
"""

from collections import Counter

from pdagent.queue.expectation import holder_of, is_relayed

HOLDER_MOST = 1000
RELAYED_MOST = 10_000  # of all senders
ALL_MOST = 20_000


class Quota:
    """Counts expectations by whose they are. Whoever keeps expectations asks whether there is room
    for another one. If there is none, its page goes out at once, and says so."""

    def __init__(self) -> None:
        self._holders: Counter[str] = Counter()
        self._relayed = 0
        self._all = 0

    def count(self, identity: str, number: int) -> None:
        """Expectations of this identity have come; if `number` is below 0, they have gone."""
        holder = holder_of(identity)
        self._holders[holder] += number
        if not self._holders[holder]:
            del self._holders[holder]  # senders may come without end
        self._relayed += number * is_relayed(identity)
        self._all += number

    def is_full(self, identity: str) -> bool:
        """Whether another one with this identity would be too many."""
        return (
            self._all >= ALL_MOST
            or self._holders[holder_of(identity)] >= HOLDER_MOST
            or (is_relayed(identity) and self._relayed >= RELAYED_MOST)
        )

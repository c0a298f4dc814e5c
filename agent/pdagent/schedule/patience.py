"""Patience: how long events of a key are kept waiting for a file of it that is not whole yet.

Pure. Anyone can drop files that never become whole. If a key waited for each of them in turn, 25
such files would hold it up 25 times as long. So a key waits for all such files of one owner
together, for a while in each minute. After that such a file waits by itself.
"""

EVERY_SECONDS = 60.0
KEPT = 10_000  # keys and owners that are remembered

Place = tuple[str, str, int]  # what the file is, the key, the owner


class Patience:
    """For which files a key has waited lately."""

    def __init__(self) -> None:
        self._began: dict[Place, float] = {}

    def lasts(self, place: Place, now: float, seconds: float) -> bool:
        """Whether others may still wait for such a file: `seconds` in each EVERY_SECONDS."""
        began = self._began.get(place)
        if began is not None and now - began < EVERY_SECONDS:
            return now - began < seconds
        if len(self._began) >= KEPT:
            for old in [p for p, at in self._began.items() if now - at >= EVERY_SECONDS]:
                del self._began[old]
            if len(self._began) >= KEPT:
                return False
        self._began.pop(place, None)
        self._began[place] = now
        return True

"""Patience: how long events of a key are kept waiting for a file of it that is not whole yet.

Pure. Anyone can drop files that never become whole. If a key waited for each of them in turn, 25
such files would hold it up 25 times as long. So a key waits for all such files of one owner
together, for a while in each minute. After that such a file waits by itself.
"""

EVERY_SECONDS = 60.0
KEPT = 10_000  # kinds that are remembered

Kind = tuple[str, str, int]  # what is wrong with the files, their key, their owner


class Patience:
    """For which files a key has waited lately."""

    def __init__(self) -> None:
        self._began: dict[Kind, float] = {}

    def lasts(self, kind: Kind, now: float, seconds: float) -> bool:
        """Whether others may still wait for files of this kind: `seconds` in each EVERY_SECONDS."""
        began = self._began.get(kind)
        if began is not None and now - began < EVERY_SECONDS:
            return now - began < seconds
        if len(self._began) >= KEPT:
            for old in [each for each, at in self._began.items() if now - at >= EVERY_SECONDS]:
                del self._began[old]
            if len(self._began) >= KEPT:
                return False
        self._began.pop(kind, None)
        self._began[kind] = now
        return True

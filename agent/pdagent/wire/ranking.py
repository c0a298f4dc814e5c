"""Ranking: in which order an event tries the destinations that `events_url` names.

Each dedup chain has an order of its own, by a hash of chain and address (rendezvous hashing). So
all hosts send a chain the same way without speaking of it, and where a relay is taken away only its
own chains move. PagerDuty itself comes last, wherever it is named: it is for when no relay is left.
"""

from collections.abc import Iterable

from pdagent import api
from pdagent.threads import importing


def ranked(urls: Iterable[str], key: str, chain: str) -> list[str]:
    """The destinations for a chain of this integration key, the first choice first."""
    urls = list(urls)
    if len(urls) == 1:
        return urls
    with importing:
        from hashlib import sha256  # an idle daemon does without

    def weight(url: str) -> tuple[bool, bytes]:
        text = "\n".join((url, key, chain))
        direct = url in api.BASE_URLS.values()
        return not direct, sha256(text.encode("utf-8", "surrogatepass")).digest()

    return sorted(urls, key=weight, reverse=True)

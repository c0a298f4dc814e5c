"""Tokens: who may send to the endpoint from other hosts. Each sender has a name and a secret.

The file has lines of NAME = TOKEN. If a line is removed, its sender may no longer send after the
next reload. Only digests are kept in memory: to look one up takes as long for a wrong token as for
a right one.
"""

import os
import re
import stat
from hashlib import sha256

from pdagent.config import Config
from pdagent.queue.regular import never_waiting
from pdagent.serve.tally import SENDERS_MOST
from pdagent.settings import TOKEN_RULE, is_token
from pdagent.shown import printable

FILE_BYTES = 1_048_576
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BadTokens(Exception):
    """The file can't be used; the text says why, by file, line and remedy."""


class Senders:
    """Those who may send. `shared` is the token of listen_token, whose senders have no name."""

    def __init__(self, shared: str = "", by_name: dict[str, str] | None = None) -> None:
        self._names = {_digest(token): name for name, token in (by_name or {}).items()}
        if shared:
            self._names[_digest(shared)] = ""
        self.names = sorted(by_name or {})

    def __bool__(self) -> bool:
        return bool(self._names)

    def sender(self, token: str) -> str | None:
        """The name of the sender whose token it is; None if it is nobody's."""
        return self._names.get(_digest(token))


def load(settings: Config) -> Senders:
    """The senders that the configuration knows. Raises BadTokens."""
    path = settings.listen_tokens_file
    if not path:
        return Senders(settings.listen_token)
    by_name = _parsed(_read(path), path)
    if not by_name:  # its disk was full, say; it must not become an endpoint without tokens
        raise BadTokens(f"listen_tokens_file = {path}: it names no sender: add NAME = TOKEN")
    return Senders(settings.listen_token, by_name)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace", opener=never_waiting) as file:
            is_open = os.fstat(file.fileno()).st_mode & stat.S_IROTH
            text = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise BadTokens(
            f"listen_tokens_file = {path}: {error.strerror}: name a file that the user pdagent "
            "can read"
        ) from error
    if is_open:
        why = f"every user can read the tokens: chgrp pdagent {path}; chmod 640 {path}"
        raise BadTokens(f"listen_tokens_file = {path}: {why}")
    if len(text) > FILE_BYTES:
        raise BadTokens(f"listen_tokens_file = {path}: it is larger than {FILE_BYTES} bytes")
    return text


def _parsed(text: str, path: str) -> dict[str, str]:
    """The tokens by name. No error quotes a token, or a name that may be one because somebody has
    swapped the two."""
    found: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;" or (line[0] == "[" and line[-1] == "]"):
            continue
        name, equals, token = (part.strip() for part in line.partition("="))
        problem = ""
        if not equals or not _is_name(name):
            problem = (
                "must be NAME = TOKEN, and the name at most 64 letters, digits, '-', '.' and '_'"
            )
        elif not is_token(token):
            problem = f"the token {TOKEN_RULE}"
        elif name in found:
            problem = f"{printable(name)} has a token already"
        elif token in found.values():
            problem = "another sender has the same token"
        if problem:
            raise BadTokens(f"{path}, line {number}: {problem}")
        found[name] = token
        if len(found) > SENDERS_MOST:
            raise BadTokens(f"{path}, line {number}: there are more than {SENDERS_MOST} senders")
    return found


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()

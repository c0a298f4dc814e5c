"""OpenPGP public keys, as far as their expiry goes (RFC 9580: packets of version 4). Pure.

Reads what a package manager trusts anyway, on hosts that may have no gpg; so nothing is verified
here.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

_SIGNATURE, _PUBLIC_KEY, _SUBKEY = 2, 6, 14
_SELF = (0x10, 0x11, 0x12, 0x13, 0x1F)  # certifications of a name, and of the key itself
_MADE, _LIFETIME = 2, 9  # subpackets


@dataclass(slots=True)
class Key:
    """A primary key: when it was made, and when it expires (None: never), in seconds since the
    epoch."""

    made: int
    expires: int | None = None


def keys(data: bytes) -> list[Key]:
    """The primary keys in a keyring or a key file, armoured or not. Raises ValueError."""
    found: list[Key] = []
    newest = -1
    own = False  # a subkey's signatures say nothing of the primary key
    try:
        for tag, body in _packets(_dearmoured(data)):
            if tag == _PUBLIC_KEY and body[0] == 4:
                found.append(Key(int.from_bytes(body[1:5], "big")))
                newest, own = -1, True
            elif tag in (_PUBLIC_KEY, _SUBKEY):
                own = False
            elif tag == _SIGNATURE and own and body[0] == 4 and body[1] in _SELF:
                made, lifetime = _times(body)
                if made > newest:
                    newest = made
                    found[-1].expires = found[-1].made + lifetime if lifetime else None
    except IndexError as error:
        raise ValueError("it ends in the middle") from error
    if not found:
        raise ValueError("there is no key in it")
    return found


def _dearmoured(data: bytes) -> bytes:
    if not data.lstrip().startswith(b"-----BEGIN"):
        return data
    parts = []
    for block in data.replace(b"\r", b"").split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        text = block.partition(b"-----END")[0].partition(b"\n\n")[2]
        lines = [line for line in text.split(b"\n") if line and not line.startswith(b"=")]
        try:
            parts.append(base64.b64decode(b"".join(lines), validate=True))
        except binascii.Error as error:
            raise ValueError("its armour is damaged") from error
    return b"".join(parts)


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise ValueError("it is not OpenPGP")
        at += 1
        if head & 0x40:
            tag = head & 0x3F
            length, at = _new_length(data, at)
        else:
            tag, size = head >> 2 & 0x0F, 1 << (head & 3)
            if size > 4:
                raise ValueError("a packet without a length")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        body = data[at : at + length]
        if len(body) < length:
            raise ValueError("it ends in the middle")
        yield tag, body
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return (first - 192 << 8) + data[at + 1] + 192, at + 2
    if first < 255:
        raise ValueError("a packet in parts")
    return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5


def _times(signature: bytes) -> tuple[int, int]:
    """When a signature was made, and how long the key lives (0: for ever), from what it covers."""
    made = lifetime = 0
    end = 6 + int.from_bytes(signature[4:6], "big")
    at = 6
    while at < end:
        length, at = _new_length(signature, at)
        kind, value = signature[at] & 0x7F, int.from_bytes(signature[at + 1 : at + length], "big")
        if kind == _MADE:
            made = value
        elif kind == _LIFETIME:
            lifetime = value
        at += length
    return made, lifetime

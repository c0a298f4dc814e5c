"""Ports for servers that tests start: each is kept free for them."""

import socket

_kept: list[socket.socket] = []  # until the process ends


def free_port(address: str = "127.0.0.1") -> int:
    """A port on loopback, or on another address, that nobody else gets until this process ends. It
    is bound and never listened at, so clients are refused, no connection gets it for its own end,
    and a server gets it that sets SO_REUSEADDR, as servers do: again and again."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind((address, 0))
    _kept.append(kept)
    return int(kept.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens at this port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

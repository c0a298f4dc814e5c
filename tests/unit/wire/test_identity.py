"""What this host shows to a relay: a token and a certificate, from files that may be no use."""

import os
import ssl
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.wire.identity import NoIdentity, authorization, show


def relay(**files: Path) -> Config:
    return Config({"events_url": "https://relay", **{n: str(path) for n, path in files.items()}})


@pytest.mark.parametrize("text", ["", "\n", "one two", "one\ntwo", "\u00fc", "x" * 20 + "\0"])
def test_no_token(tmp_path: Path, text: str) -> None:
    """A file that does not hold one token is named, and not quoted."""
    (tmp_path / "token").write_text(text)
    with pytest.raises(NoIdentity, match="must hold one token"):
        authorization(relay(events_token_file=tmp_path / "token"))


def test_a_pipe_in_their_place(tmp_path: Path) -> None:
    """No page waits until somebody writes to it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(NoIdentity, match="must hold one token"):
        authorization(relay(events_token_file=pipe))
    tls = ssl.create_default_context()
    with pytest.raises(NoIdentity, match="pipe: it is not a regular file"):
        show(tls, relay(events_client_cert=pipe))


def test_pagerduty_gets_neither(tmp_path: Path) -> None:
    """Even where they are set: the files are not looked at."""
    to = relay(events_token_file=tmp_path / "none", events_client_cert=tmp_path / "none")
    to.events_url = ""
    assert authorization(to) == ""
    show(ssl.create_default_context(), to)

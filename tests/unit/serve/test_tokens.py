"""Each sender has a name and a token; a file of them that can't be used is a mistake."""

import os
from pathlib import Path

import pytest

from pdagent.config import Config
from pdagent.serve.tokens import BadTokens, Senders, load

ONE, TWO = "1234567890abcdef", "fedcba0987654321"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.touch(0o640)
    return path


def senders(file: Path, text: str) -> Senders:
    file.write_text(text)
    return load(Config({"listen_tokens_file": str(file)}))


def test_a_token_is_a_senders(file: Path) -> None:
    """And nobody else's. Comments, blank lines and a section are left out."""
    found = senders(file, f"\ufeff# ours\n[tokens]\n\nweb1={ONE}\r\ndb-1.example.com = {TWO}\n")
    assert [found.sender(token) for token in (ONE, TWO)] == ["web1", "db-1.example.com"]
    assert [found.sender(token) for token in ("", ONE[:-1], ONE + "x", "web1")] == [None] * 4
    assert found.names == ["db-1.example.com", "web1"]


def test_the_shared_token_has_no_name() -> None:
    assert Senders(ONE).sender(ONE) == ""
    assert Senders(ONE)
    assert not Senders()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("web1", "line 1: must be NAME = TOKEN"),
        (f"\nweb 1 = {ONE}", "line 2: must be NAME = TOKEN"),
        (f"{'x' * 65} = {ONE}", "line 1: must be NAME = TOKEN"),
        ("web1 = short", "line 1: the token must have 16"),
        (f"web1 = {ONE} x", "line 1: the token must have 16"),
        (f"web1 = {ONE}ü", "line 1: the token must have 16 characters of ASCII"),
        (f"web1 = {ONE}\nweb1 = {TWO}", "line 2: web1 has a token already"),
        (f"web1 = {ONE}\nweb2 = {ONE}", "line 2: another sender has the same"),
        ("".join(f"n{n} = {ONE}{n}\n" for n in range(2001)), "line 2001: there are more than 2000"),
        ("#" * 1_100_000, "larger than"),
        ("", "it names no sender"),
    ],
)
def test_a_mistake(file: Path, text: str, said: str) -> None:
    """It is named by its line, and no token is quoted."""
    with pytest.raises(BadTokens, match=said) as bad:
        senders(file, text)
    assert ONE not in str(bad.value)


def test_who_may_read_it(file: Path, tmp_path: Path) -> None:
    file.chmod(0o644)
    with pytest.raises(BadTokens, match="every user can read the tokens: chgrp"):
        load(Config({"listen_tokens_file": str(file)}))
    with pytest.raises(BadTokens, match="No such file"):
        load(Config({"listen_tokens_file": str(tmp_path / "none")}))


def test_a_pipe_in_its_place(tmp_path: Path) -> None:
    """Nobody waits until somebody writes to it."""
    os.mkfifo(tmp_path / "pipe", 0o640)
    with pytest.raises(BadTokens, match="names no sender"):
        load(Config({"listen_tokens_file": f"{tmp_path}/pipe"}))

"""bash offers what the commands' own help says."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.package.packages import ROOT


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pd-send -t ", "trigger acknowledge resolve"),
        ("pd-send --event-type r", "resolve"),
        ("pd-send --serv", "--service-key --service-key-file"),
        ("pd-queue ", "retry status"),
        ("pd-queue retry --a", "--all-keys"),
        ("pd-send -d ", ""),
    ],
)
def test_completion(tmp_path: Path, words: str, offered: str) -> None:
    for name in ("pd-send", "pd-queue"):
        command = tmp_path / name
        command.write_text(
            f'#!/bin/sh\nPYTHONPATH={ROOT}/agent exec {sys.executable} -m pdagent {name} "$@"\n'
        )
        command.chmod(0o755)
    script = """
        . "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _pdagent "$1"
        echo "${COMPREPLY[*]}" """
    seen = subprocess.run(
        ["bash", "-c", script, "bash", ROOT / "packaging/completion.bash", *words.split(" ")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert seen.stdout.strip() == offered

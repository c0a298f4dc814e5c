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
        ("pd-send ", "change"),
        ("pd-send change --wa", "--wait"),
        ("pd-queue ", "list purge retry show status watch"),
        ("pd-queue list --state ", "pending in-error delivered all"),
        ("pd-queue retry --a", "--all-keys"),
        ("pdagent ", "check version"),
        ("pdagent check --s", "--send-test --service-key"),
        ("pd-send -d ", ""),
        ("pd-nagios -n ", "service host"),
        ("pd-nagios --events-api ", "v1 v2"),
        ("pd-zabbix --dry", "--dry-run"),
    ],
)
def test_completion(tmp_path: Path, words: str, offered: str) -> None:
    for name in ("pd-send", "pd-queue", "pd-nagios", "pd-zabbix", "pdagent"):
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

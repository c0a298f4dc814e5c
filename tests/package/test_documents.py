"""The configuration file and the manuals say what the agent does."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pdagent.lines import parse
from pdagent.settings import DEFAULTS
from tests.package.packages import ROOT, Package, output

OLD_KEYS = {
    "send_interval_secs": 10,
    "cleanup_interval_secs": 10800,
    "cleanup_threshold_secs": 604800,
    "backoff_interval_secs": 60,
    "retry_limit_for_possible_errors": 60,
    "source_address": "0.0.0.0",
}


@pytest.fixture
def shipped(package: Package) -> str:
    return package.read("/usr/share/pdagent/pdagent.conf").decode()


def test_shipped_configuration(shipped: str) -> None:
    """The old file's keys, set as they were set there."""
    assert parse(shipped, "it") == (OLD_KEYS, [])


def test_every_setting_is_shipped(shipped: str) -> None:
    """Take the comment sign away, and each setting has its default."""
    lines = [
        line.removeprefix("#") if line.removeprefix("#").split(" ")[0] in DEFAULTS else line
        for line in shipped.splitlines()
    ]
    values, problems = parse("\n".join(lines), "it")
    assert problems == []
    assert values == DEFAULTS


def test_every_setting_is_in_the_manual(package: Package) -> None:
    page = gzip.decompress(package.read("/usr/share/man/man5/pdagent.conf.5.gz")).decode()
    for name in DEFAULTS:
        assert f".TP\n.B {name} =" in page


def test_every_option_is_in_the_manual(package: Package) -> None:
    page = gzip.decompress(package.read("/usr/share/man/man1/pd-send.1.gz")).decode()
    from pdagent.commands.pd_send import parser

    for action in parser()._actions:
        for option in action.option_strings:
            assert option.replace("-", "\\-") in page


def manual(package: Package, name: str) -> str:
    """A command's page, without the signs of roff."""
    page = gzip.decompress(package.read(f"/usr/share/man/{name}.gz")).decode()
    return page.replace("\\-", "-")


def test_examples_are_in_the_manual(package: Package) -> None:
    """Those of the help, of sub-commands too."""
    page = manual(package, "man1/pd-queue.1").partition(".SH EXAMPLES")[2]
    for line in ("sudo pd-queue status", "sudo pd-queue retry 1795402356123456 --to-key @db"):
        assert f".B {line}\n" in page


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("man1/pd-send.1", "0 2 65 69 74 75 76 79 130"),
        ("man1/pd-queue.1", "0 2 65 66 74 75 77 130"),
        ("man1/pdagent.1", "0 1 2 3 74 75 77 78 130"),
        ("man8/pdagentd.8", "0 1 2 3 74 75 77 78 130"),
    ],
)
def test_exit_codes_are_in_the_manual(package: Package, name: str, codes: str) -> None:
    """The command's own, and no others."""
    page = manual(package, name).partition(".SH EXIT STATUS")[2].partition(".SH ")[0]
    assert re.findall(r"^\.B (\d+)$", page, re.MULTILINE) == codes.split()


def test_documentation_is_installed(package: Package) -> None:
    """All pages, and what they show, so that their links lead somewhere on the host."""
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*") if path.is_file()}
    place = "/usr/share/doc/pdagent/"
    found = {path.removeprefix(place) for path in package.files if path.startswith(place)}
    assert {page.removeprefix("docs/") for page in pages} <= found
    assert str(package.files[f"{place}README.md"]) == "644 root root"


def test_the_same_by_another_python(tmp_path: Path) -> None:
    """What the packages say does not depend on the Python of the machine: the runtime's makes the
    same as this one."""
    runtime = output(ROOT / "ci/runtime/build.sh").decode().strip()
    environment = {**os.environ, "PYTHONPATH": "agent", "SOURCE_DATE_EPOCH": "1700000000"}
    made = []
    for name, python in (("this", sys.executable), ("other", f"{runtime}/usr/bin/python3.13")):
        for script in ("ci/documents.py", "ci/completion.py"):
            target = tmp_path / name / script
            target.mkdir(parents=True)
            subprocess.run([python, script, target], check=True, cwd=ROOT, env=environment)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append([(path.relative_to(tmp_path / name), path.read_bytes()) for path in files])
    assert made[0] == made[1]
    assert len(made[0]) > 10

"""The documents hang together: files that they show are right, links lead somewhere, and no example
is left out without a reason."""

import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from pdagent import api, exits
from pdagent.lines import parse
from pdagent.queue import envelope
from pdagent.wire import environment
from tests.support.documents import REPOSITORY, Block, blocks, documents

FILES = [b for page in documents() for b in blocks(page) if b.kind == "file"]
TEMPLATES = REPOSITORY / "packaging" / "repo"
HOSTS = {"all", "deb", "rpm", "systemd", "sysv"}


def conf(block: Block, _: Path) -> None:
    text = block.text if "[Main]" in block.text else f"[Main]\n{block.text}"
    assert [problem.text for problem in parse(text, str(block))[1]] == []


def variables(block: Block, _: Path) -> None:
    assert len(environment.parse(block.text)) == len(block.text.splitlines())


def unit(block: Block, _: Path) -> None:
    parser = ConfigParser(strict=False)  # an empty ExecStart= takes back the one before
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(block.text)
    assert parser.sections()
    assert set(parser.sections()) <= {"Unit", "Service"}


def crontab(block: Block, _: Path) -> None:
    """Five fields, and a command that a shell can read."""
    lines = [line for line in block.text.splitlines() if not re.match("[A-Z]+=", line)]
    assert lines
    for line in lines:
        fields = line.split(None, 5)
        assert all(re.fullmatch(r"[\d*/,-]+", field) for field in fields[:5])
        assert "%" not in fields[5]  # cron would make a line end of it
        subprocess.run(["sh", "-n", "-c", fields[5]], check=True)


def script(block: Block, place: Path) -> None:
    """One that shellcheck finds nothing in."""
    (place / "script").write_text(block.text)
    subprocess.run(["shellcheck", place / "script"], check=True)


def words(block: Block, _: Path) -> None:
    """Lines of a program that we have not got: tests/hosts/test_jobs.py runs what they name."""
    assert "/usr/local/bin/page-" in block.text


def prometheus(block: Block, place: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("prometheus is not installed")
    (place / "prometheus.yml").write_text(block.text)
    subprocess.run(["promtool", "check", "config", place / "prometheus.yml"], check=True)


def alertmanager(block: Block, place: Path) -> None:
    if not shutil.which("amtool"):
        pytest.skip("prometheus-alertmanager is not installed")
    (place / "alertmanager.yml").write_text(block.text)
    subprocess.run(["amtool", "check-config", place / "alertmanager.yml"], check=True)


def haproxy(block: Block, place: Path) -> None:
    if not shutil.which("haproxy", path=os.defpath + ":/usr/sbin"):
        pytest.skip("haproxy is not installed")
    (place / "haproxy.cfg").write_text(block.text)
    subprocess.run(["/usr/sbin/haproxy", "-c", "-f", place / "haproxy.cfg"], check=True)


def source(block: Block, _: Path) -> None:
    """What the repository offers ready-made, or what the keyring package brings."""
    offered = (TEMPLATES / block.argument).read_text()
    offered = offered.replace("@REPO_URL@", "https://packages.pagerduty.com/pdagent")
    brought = (TEMPLATES / "keyring.yaml").read_text()
    for line in block.text.splitlines():
        assert line in offered or line.partition("file://")[2] in brought


CHECKS = {
    "pdagent.conf": conf,
    "pdagent.conf used": conf,
    "environment": variables,
    "crontab": crontab,
    "page-smartd": script,
    "page-mdadm": script,
    "smartd.conf": words,
    "mdadm.conf": words,
    "unit": unit,
    "prometheus.yml": prometheus,
    "alertmanager.yml": alertmanager,
    "haproxy.cfg": haproxy,
    "pdagent.sources": source,
    "pdagent.list": source,
    "pdagent.repo": source,
}


@pytest.mark.parametrize("block", FILES, ids=str)
def test_files(block: Block, tmp_path: Path) -> None:
    """What a page has people put into a file is good there."""
    CHECKS[block.argument](block, tmp_path)


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_marks(page: Path) -> None:
    """Marks are known ones: a host's kinds; a reason in more than a word, where none runs it."""
    text = page.read_text()
    assert text.count("<!--") == sum(block.kind != "run" for block in blocks(page))
    for block in blocks(page):
        if block.kind in ("host", "bare"):
            assert set(block.argument.split()) <= HOSTS, block
        if block.kind == "not run":
            assert " " in block.argument, block


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Every link within the repository leads to a file, and to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, heading = target.partition("#")
        if "://" in name:
            continue
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), f"{page.name}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in anchors, f"{page.name}: {target}"


def test_every_page_is_in_the_index() -> None:
    """The first page of docs/ leads to every page."""
    text = (REPOSITORY / "docs" / "README.md").read_text()
    pages = {page.name for page in (REPOSITORY / "docs").glob("*.md")} - {"README.md"}
    assert pages - set(re.findall(r"\]\(([\w-]+\.md)", text)) == set()


def test_installed_pages_stay_together() -> None:
    """docs/ is installed as it is: no page leads out of it."""
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert "](../" not in page.read_text(), page.name


def test_pages_that_are_named_exist() -> None:
    """What commands, samples and the unit send people to."""
    named = {
        name
        for directory in ("agent", "packaging", "init", "docs")
        for path in (REPOSITORY / directory).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".png")
        for name in re.findall(r"/usr/share/doc/pdagent/([\w-]+\.md)", path.read_text())
    }
    assert {"README.md", "install.md", "json.md", "nagios.md", "proxies.md"} <= named
    assert {name for name in named if not (REPOSITORY / "docs" / name).exists()} == set()


def test_exit_codes() -> None:
    """The page has each code that there is, and no other."""
    page = (REPOSITORY / "docs" / "exit-codes.md").read_text()
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


def test_make_help_lists_what_pages_have_people_make() -> None:
    """`make help` has each target that a page names."""
    command = ["make", "--no-print-directory", "-C", str(REPOSITORY), "help"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    known = {line.split()[0] for line in told.splitlines()}
    pages = [REPOSITORY / "CONTRIBUTING.md", *documents()]
    text = "".join(page.read_text() for page in pages)
    found = re.findall(r"(?:`|^ {4,})make((?: [a-z0-9-]+)+)", text, re.MULTILINE)
    named = {target for targets in found for target in targets.split()}
    assert {"arm64", "demo", "test"} <= named
    assert named - known == set()


def test_actions() -> None:
    """The page of JSON has each kind of event that `pd-queue` knows."""
    page = (REPOSITORY / "docs" / "json.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `action` |"))
    actions = [*api.ACTIONS, "change", *envelope.PATHS]
    assert [action for action in actions if f"`{action}`" not in row] == []


def test_modules_are_run_as_a_checkout_can() -> None:
    """A module that a page has people run is run by the environment's Python, which finds all."""
    for page in (REPOSITORY / "CONTRIBUTING.md", *documents()):
        for before in re.findall(r"(.*)python3? -m (?:tests|benchmarks)", page.read_text()):
            assert before.endswith("PYTHONPATH=agent:. .venv/bin/"), page.name

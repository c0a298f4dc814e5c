"""What a plain pd-send loads: built-in modules, and as few of ours as it takes. So it is with the
commands of monitoring tools, which add a few."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.events import KEY
from tests.support.faults import python

# Each name more costs every pd-send of every host; think of `pdagent.commands.pd_send` first.
FREEZE = Path(__file__).parents[2] / "ci" / "freeze"
OURS = (FREEZE / "hot-modules").read_text().split()
WARM = (FREEZE / "warm-modules").read_text().split()
BUILT_IN = {"posix", "time", "errno"}

REPORT = """
import sys
before = set(sys.modules)
import posix
leave = posix._exit
def report(code):
    new = [name for name in sys.modules if name not in before]
    text = repr([code, [name for name in new if name not in sys.builtin_module_names],
                 [name for name in new if name in sys.builtin_module_names]])
    posix.write(2, text.encode())
    leave(code)
posix._exit = report
module = "pdagent." + sys.argv.pop(0)
__import__(module)
sys.modules[module].main(sys.argv)
"""

# The complete way: what a command has loaded by its end, as a line on stderr.
ALL = """
import posix, sys
name = sys.argv.pop(0)
module = "pdagent.commands." + name
__import__(module)
try:
    sys.modules[module].main(sys.argv)
except SystemExit:
    pass
posix.write(2, " ".join(sys.modules).encode())
"""


def loaded(
    root: Path, *arguments: str, module: str = "quick", stdin: bytes = b""
) -> tuple[int, list[str], list[str]]:
    """The exit code of a quick way, and the modules that it loads: files, and built in."""
    conf = root.parent / "pdagent.conf"
    conf.write_text(f"# as shipped\n[Main]\nsend_interval_secs = 10\ndata_dir = {root.parent}\n")
    command = python(REPORT, module, "--config", str(conf), *arguments)
    done = subprocess.run(command, capture_output=True, check=False, input=stdin)
    code, files, built_in = json.loads(done.stderr.decode().replace("'", '"'))
    return code, files, built_in


def test_a_plain_pd_send_loads_no_more_than_it_did(root: Path) -> None:
    """With every option that monitoring systems use."""
    code, files, built_in = loaded(
        root, "-k", KEY, "-t", "trigger", "-d", "disk full", "-i", "inc-1", "-f", "a=b",
        "--severity=warning", "-c", "MyMon", "-u", "http://mon/1", "-q",
    )  # fmt: skip
    assert code == 0
    assert len(list((root / "pdq").iterdir())) == 1
    assert sorted(files) == sorted(OURS)
    assert set(built_in) <= BUILT_IN


def test_a_generated_key_and_odd_characters_load_no_more(root: Path) -> None:
    """Umlauts, emoji, bytes that are not UTF-8, a description to shorten, and 300 kB of details."""
    code, files, built_in = loaded(
        root, "-k", KEY, "-t", "trigger", "-d", "\U0001f525 \u00e4" * 2000, "-f", "a=\udcff",
        *[word for n in range(3) for word in ("-f", f"f{n}=" + "x" * 100_000)],
    )  # fmt: skip
    assert code == 0
    assert sorted(files) == sorted(OURS)
    assert set(built_in) <= BUILT_IN


def test_a_body_over_the_limit_loads_what_cuts_it(root: Path) -> None:
    """The frozen program has no such module at that point, and goes on with a complete start."""
    code, files, built_in = loaded(
        root, "-k", KEY, "-t", "trigger", "-d", "x",
        *[word for n in range(6) for word in ("-f", f"f{n}=" + "x" * 100_000)],
    )  # fmt: skip
    assert code == 0
    assert sorted(files) == sorted([*OURS, "pdagent.cutting"])
    assert set(built_in) <= BUILT_IN


@pytest.mark.parametrize(
    ("tool", "arguments", "stdin", "besides"),
    [
        (
            "nagios",
            ["-k", KEY, "-t", "PROBLEM", "-n", "host", "-f", "HOSTNAME=h", "-f", "HOSTSTATE=UP"],
            b"",
            set(),
        ),
        ("zabbix", ["--events-api", "v2", KEY, "PROBLEM", "id:1\nhostname:h"], b"", set()),
        ("sensu", ["-k", KEY], b'{"id": "1", "action": "create"}', {"_json"}),
    ],
)
def test_monitoring_tools_load_little_more(
    root: Path, tool: str, arguments: list[str], stdin: bytes, besides: set[str]
) -> None:
    """Two modules of ours and their package, and for Sensu a scanner, built into the program."""
    code, files, built_in = loaded(root, *arguments, module=f"integrations.{tool}", stdin=stdin)
    assert code == 0
    assert len(list((root / "pdq").iterdir())) == 1
    package = "pdagent.integrations"
    wanted = {package, f"{package}.report", f"{package}.{tool}"}
    assert wanted < set(WARM)
    assert set(files) - besides == {*OURS, *wanted}
    assert set(built_in) <= BUILT_IN | besides


@pytest.mark.parametrize("module", OURS[1:])
def test_the_program_imports_in_order(module: str) -> None:
    """The bootloader runs these one after the other: what one imports must have been run."""
    source = (FREEZE.parents[1] / "agent" / module.replace(".", "/")).with_suffix(".py")
    code = source.read_text().partition("TYPE_CHECKING = False")[0]
    known = OURS[: OURS.index(module)]
    for line in code.splitlines():
        words = line.split()
        if words[:2] == ["from", "pdagent"] and words[2] == "import":
            wanted = [f"pdagent.{name.rstrip(',')}" for name in words[3:]]
        elif words[:1] == ["from"] and words[1].startswith("pdagent."):
            wanted = [words[1]]
        else:
            continue
        assert {*wanted} <= {*known}


@pytest.mark.parametrize(
    ("command", "arguments", "heavy"),
    [
        ("pd_send", ["-h"], {"contextlib", "pdagent.jobs.watching", "pdagent.jobs.wording"}),
        ("pd_queue", ["status"], {"textwrap", "pdagent.queue.state", "pdagent.queue.listing"}),
    ],
)
def test_a_command_loads_what_it_needs(
    root: Path, command: str, arguments: list[str], heavy: set[str]
) -> None:
    """People and scripts type these often, and imports are most of their time."""
    conf = root.parent / "pdagent.conf"
    conf.write_text(f"[Main]\ndata_dir = {root.parent}\n")
    (root / "suc").mkdir(exist_ok=True)
    (root / "err").mkdir(exist_ok=True)
    done = subprocess.run(
        python(ALL, command, "--config", str(conf), *arguments), capture_output=True, check=True
    )
    heavy |= {"datetime", "logging", "shutil", "socket", "subprocess", "threading"}
    assert done.stdout
    assert not heavy & set(done.stderr.decode().split())

"""The frozen program does the same, whatever the environment says and the directories around it
hold."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import Agent
from tests.support.events import KEY
from tests.support.events_api import EventsApi
from tests.support.frozen import needs_one_file, needs_program, on_its_own

pytestmark = needs_program

INTRUDER = "open('{marker}', 'w').close()\nraise SystemExit('an intruder ran')\n"
NAMES = ("pdagent", "os", "json", "argparse", "struct", "encodings", "sitecustomize", "posix")

# Leaves this many descriptors free, as a parent does that has lost count of its own.
FEW = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
while os.dup(0) < 63:
    pass
for fd in range(3, 64):
    os.set_inheritable(fd, True)
for fd in range(63, 63 - int(sys.argv[1]), -1):
    os.close(fd)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def agent(api: EventsApi) -> Iterator[Agent]:
    with on_its_own(api) as agent:
        yield agent


@pytest.fixture
def intruders(agent: Agent) -> Iterator[Path]:
    """A directory with modules of well-known names, none of which may run."""
    place, marker = agent.root / "intruders", agent.root / "marker"
    place.mkdir()
    for name in NAMES:
        (place / f"{name}.py").write_text(INTRUDER.format(marker=marker))
    for name in ("_internal", "lib-dynload"):
        shutil.copytree(place, place / name, ignore=shutil.ignore_patterns("_internal"))
    yield place
    assert not marker.exists()


def all_commands_work(agent: Agent, environment: dict[str, str], cwd: str = "/") -> None:
    """The quick way, the complete way and the two other programs."""

    def run(*command: str) -> str:
        name, *arguments = command
        result = subprocess.run(
            [*agent.command(name), *arguments],
            env={**agent.environment, **environment},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode == 0, result
        assert result.stderr == ""
        return result.stdout

    conf = ("--config", str(agent.conf))
    before = len(agent.names("pdq"))
    said = run("pd-send", *conf, "-k", KEY, "-t", "trigger", "-d", "plain ✓", "-i", "plain")
    assert said == "Event processed. Incident Key: plain\n"
    # an attached value is not plain
    said = run("pd-send", *conf, f"-k{KEY}", "-ttrigger", "-d", "complete ✓", "-i", "complete")
    assert said == "Event processed. Incident Key: complete\n"
    assert len(agent.names("pdq")) == before + 2
    assert run("pd-send", "-h").startswith("usage: pd-send")
    assert "Pending" in run("pd-queue", "status", *conf)
    assert run("pdagentd", "-h").startswith("usage: pdagentd")
    assert "OpenSSL 3." in run("pdagent", "version")


@pytest.mark.parametrize(
    "variable",
    [
        "PYTHONHOME",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "_MEIPASS2",
        "_PYI_APPLICATION_HOME_DIR",
        "_PYI_ARCHIVE_FILE",
        "PYTHONUSERBASE",
        "PYTHONPLATLIBDIR",
        "PYTHONPYCACHEPREFIX",
        "TMPDIR",
    ],
)
def test_directories_in_the_environment(agent: Agent, intruders: Path, variable: str) -> None:
    all_commands_work(agent, {variable: str(intruders)})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYTHONSTARTUP", "/etc/passwd"),
        ("PYTHONINSPECT", "1"),
        ("PYTHONVERBOSE", "1"),
        ("PYTHONUTF8", "0"),
        ("PYTHONIOENCODING", "utf-16"),
        ("PYTHONWARNINGS", "error"),
        ("PYTHONHASHSEED", "none"),
        ("PYTHONMALLOC", "debug"),
        ("PYTHONOPTIMIZE", "7"),
        ("LC_ALL", "C"),
        ("LC_ALL", "xx_YY.KOI8-R"),
        ("TMPDIR", "/nowhere"),
        ("HOME", "/nowhere"),
    ],
)
def test_settings_in_the_environment(agent: Agent, variable: str, value: str) -> None:
    all_commands_work(agent, {"LANG": "", variable: value})


@needs_one_file
@pytest.mark.parametrize("level", ["-1", "0", "1", "2", "99", "nonsense"])
def test_told_to_be_a_child_of_itself(agent: Agent, intruders: Path, level: str) -> None:
    """PyInstaller's own variables, as an attacker would set them, are neither believed nor passed
    on."""
    environment = {
        "_PYI_PARENT_PROCESS_LEVEL": level,
        "_PYI_ARCHIVE_FILE": str((agent.root / "program" / "pdagent").resolve()),
        "_PYI_APPLICATION_HOME_DIR": str(intruders),
        "_PYI_SPLASH_IPC": "1",
        "PYINSTALLER_RESET_ENVIRONMENT": "1",
        "PYINSTALLER_STRICT_UNPACK_MODE": "1",
    }
    all_commands_work(agent, environment)


def test_modules_in_the_working_directory(agent: Agent, intruders: Path) -> None:
    all_commands_work(agent, {}, cwd=str(intruders))


@needs_one_file
def test_modules_beside_the_program(agent: Agent, intruders: Path) -> None:
    shutil.copytree(intruders, agent.root / "program", dirs_exist_ok=True)
    all_commands_work(agent, {})


def test_a_job_with_few_descriptors(agent: Agent) -> None:
    """It runs, or it cannot be run; there is no other end."""
    codes = []
    for free in range(1, 12):
        under = [sys.executable, "-c", FEW, str(free)]
        done = agent.run("pd-send", "run", "-k", KEY, "--", "true", under=under)
        assert b"Traceback" not in done.stderr, free
        codes.append(done.returncode)
    assert sorted(codes, reverse=True) == codes
    assert set(codes) == {0, 126}


@pytest.mark.parametrize(
    "command",
    [
        ("pdagent", "check"),
        ("pdagent", "check", "--config-only"),
        ("pdagent", "reload"),
        ("pd-queue", "status"),
        ("pd-queue", "retry", "-a", "--json"),
        ("pd-send", "--dry-run", "-k", KEY, "-t", "trigger", "-d", "x"),
        ("pd-send", "expect", "-k", KEY, "backup", "--within", "1h"),
        ("pd-nagios", "-h"),
    ],
    ids=" ".join,
)
def test_few_descriptors(agent: Agent, command: tuple[str, ...]) -> None:
    """A line says so, whatever the command has to open first."""
    name, *arguments = command
    for free in range(1, 12):
        under = [sys.executable, "-c", FEW, str(free)]
        done = agent.run(name, *arguments, under=under)
        assert b"Traceback" not in done.stderr, (free, done.stderr)
        assert done.returncode != 1, (free, done.stderr)

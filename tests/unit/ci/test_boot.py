"""How the frozen program imports: what is in its archive, by name, and dataclasses without a
compiler."""

import dataclasses
import importlib.util
import json
import marshal
import subprocess
import sys
import zlib
from pathlib import Path
from types import CodeType

import pytest

FREEZE = Path(__file__).parents[3] / "ci" / "freeze"
BEFORE = b"#!/bin/sh"  # the archive is somewhere in the program's file
MODULE, PACKAGE, NAMESPACE = 0, 1, 3
DATA = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Point:\n    x: int\n"

# Takes the way without /proc, since there the program is this Python. Prints what a module's import
# raised, and what was compiled meanwhile.
BOOT = """
import dataclasses, json, posix, sys
del sys.modules["dataclasses"]
real = posix.stat
def missing(path):
    raise OSError
posix.stat = missing
sys._MEIPASS, sys._pyinstaller_pyz = "/nowhere", sys.argv[2]
exec(compile(open(sys.argv[1]).read(), "boot", "exec"))
posix.stat = real
import dataclasses
compiled = []
sys.addaudithook(lambda event, what: event == "compile" and compiled.append(what))
said = ""
try:
    __import__(sys.argv[3])
    said = eval(sys.argv[4], vars(sys.modules[sys.argv[3]])) if sys.argv[4] else ""
except ImportError as error:
    said = str(error)
print(json.dumps([said, len(compiled) - bool(sys.argv[4])]))
"""


def prepared(*modules: str, path: Path) -> tuple[list[str], dict[str, dict[str, CodeType]]]:
    """What prepare.py says of modules below `path`, or of ours."""
    command = [sys.executable, str(FREEZE / "prepare.py"), *modules]
    agent = FREEZE.parents[1] / "agent"
    environment = {"PYTHONPATH": f"{path}:{agent}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=60)
    names, methods = marshal.loads(done.stdout)
    return names, methods


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program with an archive as PyInstaller writes it."""
    (tmp_path / "data.py").write_text(DATA)
    _, methods = prepared("data", path=tmp_path)
    slow = compile(DATA, "slow.py", "exec")
    codes = {
        "dataclasses": (MODULE, compile(Path(dataclasses.__file__).read_text(), "d", "exec")),
        "slow": (MODULE, slow),
        "quick": (MODULE, slow.replace(co_consts=(*slow.co_consts, methods["data"]))),
        "outer": (PACKAGE, compile("import outer.inner", "outer", "exec")),
        "outer.inner": (MODULE, compile("value = 7", "inner", "exec")),
        "empty": (NAMESPACE, None),
        "empty.inner": (MODULE, compile("value = 8", "inner", "exec")),
    }
    data, table = bytearray(17), []
    for name, (kind, code) in codes.items():
        entry = zlib.compress(marshal.dumps(code)) if code else b""
        table.append((name, (kind, len(data), len(entry))))
        data += entry
    data[:12] = b"PYZ\0" + importlib.util.MAGIC_NUMBER + len(data).to_bytes(4, "big")
    (tmp_path / "program").write_bytes(BEFORE + data + marshal.dumps(table) + b"what follows")
    return tmp_path / "program"


def imported(program: Path, module: str, expression: str = "") -> list[object]:
    """What an expression in an imported module says, and how often Python has compiled."""
    script = [sys.executable, "-c", BOOT, str(FREEZE / "boot.py"), f"{program}?{len(BEFORE)}"]
    done = subprocess.run(
        [*script, module, expression], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said: list[object] = json.loads(done.stdout)
    return said


def test_a_module_is_found_by_its_name(program: Path) -> None:
    """In a package, and in a directory that has no module of its own."""
    assert imported(program, "outer.inner", "value") == [7, 0]
    assert imported(program, "empty.inner", "value") == [8, 0]


def test_what_is_not_there_is_an_import_error(program: Path) -> None:
    """As it is for requests, which tries some libraries that the program has not."""
    assert imported(program, "chardet") == ["No module named 'chardet'", 0]
    assert imported(program, "outer.nothing") == ["No module named 'outer.nothing'", 0]


def test_the_methods_of_a_dataclass_are_not_compiled_again(program: Path) -> None:
    """They come with the module. A module without them works too."""
    assert imported(program, "quick", "repr(Point(1))") == ["Point(x=1)", 0]
    said, compiled = imported(program, "slow", "repr(Point(1))")
    assert said == "Point(x=1)"
    assert compiled


def test_every_dataclass_of_ours_is_prepared(tmp_path: Path) -> None:
    """And what commands import is known, from which the daemon's part is far."""
    names, methods = prepared(
        "pdagent.queue.holds", "pdagent.commands.pd_send", "pdagent.daemon.life", path=tmp_path
    )
    assert methods["pdagent.queue.holds"]
    assert methods["pdagent.queue.pending"]
    assert "pdagent.commands.pd_send" in names
    assert "argparse" in names
    assert "pdagent.daemon.life" not in names

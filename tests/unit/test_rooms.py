"""The rooms: a module is found by its name."""

from collections import Counter
from pathlib import Path

import pdagent
from tests.support.documents import REPOSITORY

ROOT = Path(pdagent.__file__).parent
# Every room may use these; a plain pd-send has no need of them.
FLAT_BUT_NOT_HOT = {"__main__", "cutting", "log", "shown", "threads"}


def test_no_two_modules_have_the_same_name() -> None:
    """Nor does a module have the name of a room."""
    modules = [path.stem for path in ROOT.rglob("*.py") if not path.stem.startswith("__")]
    rooms = [path.name for path in ROOT.rglob("*") if (path / "__init__.py").exists()]
    assert [name for name, number in Counter(modules + rooms).items() if number > 1] == []


def test_what_lies_flat_is_what_every_pd_send_imports() -> None:
    """So `ls` is the documentation of the hot path, and CONTRIBUTING.md names each."""
    flat = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    hot = (REPOSITORY / "ci/freeze/hot-modules").read_text().split()
    assert flat == {name.removeprefix("pdagent.") for name in hot[1:]} | FLAT_BUT_NOT_HOT
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    assert [name for name in flat - {"__main__"} if f"`{name}`" not in page] == []


def test_no_module_is_longer_than_350_lines() -> None:
    """A module that grows a second idea has found a second name."""
    modules = {path: path.read_text().count("\n") for path in ROOT.rglob("*.py")}
    assert {str(path): lines for path, lines in modules.items() if lines > 350} == {}

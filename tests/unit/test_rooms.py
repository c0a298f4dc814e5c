"""The rooms: a module is found by its name."""

from collections import Counter
from pathlib import Path

import pdagent


def test_no_two_modules_have_the_same_name() -> None:
    """Nor does a module have the name of a room."""
    root = Path(pdagent.__file__).parent
    modules = [path.stem for path in root.rglob("*.py") if not path.stem.startswith("__")]
    rooms = [path.name for path in root.rglob("*") if (path / "__init__.py").exists()]
    assert [name for name, number in Counter(modules + rooms).items() if number > 1] == []

"""What `make mutants` is told of tests and code is true of those that there are."""

import ast
import tomllib

import pytest

from tests.mutants.__main__ import NAMED, PARTS, ROOT


def code(module: str) -> dict[str, list[str]]:
    """The lines of each function, and of each method under the name of its class."""
    text = (ROOT / "agent" / f"{module.replace('.', '/')}.py").read_text()
    tree, lines = ast.parse(text), text.splitlines()
    found = [("", node) for node in tree.body]
    for each in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        found += [(f"{each.name}.", node) for node in each.body]
    return {
        prefix + node.name: [line.strip() for line in lines[node.lineno - 1 : node.end_lineno]]
        for prefix, node in found
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("module", PARTS)
def test_a_module_and_its_tests(module: str) -> None:
    """A test that was moved would leave mutants alive, and nobody would know why."""
    assert code(module)
    missing = [test for test in PARTS[module] if not (ROOT / "tests" / test).exists()]
    assert missing == []


def test_named_survivors() -> None:
    """Each is of a line that the code has, so that its reason can be checked."""
    gone = []
    for entry in tomllib.loads(NAMED.read_text())["survivor"]:
        lines = code(entry["module"]).get(entry["function"], [])
        if not entry["reason"] or not all(was in lines for was in entry["was"].splitlines()):
            gone.append(entry)
    assert gone == []

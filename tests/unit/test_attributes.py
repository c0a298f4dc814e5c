"""What an object consists of is seen in one place."""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pdagent


def classes() -> Iterator[type]:
    """All classes of ours."""
    for found in walk_packages(pdagent.__path__, "pdagent."):
        if not found.name.endswith("__main__"):
            module = import_module(found.name)
            for one in vars(module).values():
                if isinstance(one, type) and one.__module__ == found.name:
                    yield one


@cache
def written(path: str) -> dict[str, ast.ClassDef]:
    """The classes of a source file."""
    body = ast.parse(Path(path).read_text()).body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef)}


def definition(one: type) -> ast.ClassDef | None:
    """A class as it is written, None where that is not in Python."""
    path = getattr(sys.modules[one.__module__], "__file__", None) or ""
    return written(path).get(one.__name__) if path.endswith(".py") else None


def set_in(function: ast.FunctionDef) -> set[str]:
    """The attributes of `self` that a method sets."""
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [part for part in node.body if isinstance(part, ast.FunctionDef)]


def declared(one: type) -> set[str]:
    """The attributes that a class and those above it have from the start."""
    names = {name for base in one.__mro__ for name in (*vars(base), *inspect.get_annotations(base))}
    for base in one.__mro__:
        node = definition(base)
        for method in methods(node) if node is not None else ():
            if method.name == "__init__":
                names |= set_in(method)
    return names


def test_attributes_are_first_set_in_init() -> None:
    """So __init__ tells a reader all that an object knows."""
    late = {
        f"{one.__module__}.{one.__qualname__}.{method.name}: {sorted(names)}"
        for one in classes()
        if (node := definition(one)) is not None
        for method in methods(node)
        if (names := set_in(method) - declared(one))
    }
    assert late == set()

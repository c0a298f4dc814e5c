"""In place of inspect, of which dataclasses want little: with ast, dis and tokenize it would be a
megabyte of every idle daemon. Whoever wants more gets the real one."""

from importlib import import_module


def get_annotations(owner: type) -> dict[str, object]:
    return dict(owner.__dict__.get("__annotations__", {}))  # noqa: RUF063  (that is this)


def signature(*_: object, **__: object) -> str:
    return ""  # for docstrings, which the program has none of


def __getattr__(name: str) -> object:
    return getattr(import_module("_inspect"), name)

"""In place of traceback until somebody wants one: logging imports it for days that are worse, and
with textwrap and its patterns it would be half a megabyte of every idle daemon."""

from importlib import import_module


def __getattr__(name: str) -> object:
    return getattr(import_module("_traceback"), name)

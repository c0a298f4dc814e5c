"""System calls that fail or never return: for models of what a process leaves behind, where strace
would cost a process for each of a thousand examples.

What is called is the real thing, on a real directory. Only that one call, of all that a process
makes, gives an error, writes less than it was asked to, or is the last one that it ever made.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CALLS = {"open", "read", "write", "fsync", "fchmod", "link", "unlink", "rename", "replace"}
CALLS |= {"mkdir", "listdir", "scandir", "lstat", "fstat", "stat"}


class Died(BaseException):
    """The process is no more. Not even what it does at the end has been done."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `at`-th call from now. `error` 0: the process dies before it; None: a
    write writes half of what it should, any other call nothing special."""

    at: int
    error: int | None

    def __str__(self) -> str:
        names = {0: "dies", None: "writes less"}
        return f"{names.get(self.error) or errno.errorcode[self.error or 0]} at call {self.at}"


class Calls:
    """Stands in for the modules `posix` or `os` in one of ours."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._fault: Fault | None = None
        self._left = 0
        self._dead = False

    def inject(self, fault: Fault | None) -> None:
        """From now on, with everybody alive."""
        self._fault = fault
        self._left = fault.at if fault else 0
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return self._call(name, found) if name in CALLS else found

    def _call(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._dead:
                raise Died
            self._left -= 1
            if self._fault is None or self._left != 0:
                return real(*arguments, **named)
            if self._fault.error is None:
                if name == "write":
                    fd, data = arguments
                    return real(fd, data[: len(data) // 2])
                return real(*arguments, **named)
            if self._fault.error == 0:
                self._dead = True
                raise Died
            raise OSError(self._fault.error, os.strerror(self._fault.error))

        return call

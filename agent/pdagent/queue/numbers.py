"""Numbers in JSON that anyone may have written, or that was damaged. Pure."""

from math import inf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeGuard  # to import it would cost a command 1 ms


def is_number(value: object, most: float = inf) -> "TypeGuard[float]":
    """Whether a value is a number, with an amount below `most`. NaN and infinity are none, nor is a
    bool, which Python takes for an int. An int may be too large for a float."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and abs(value) < most  # type: ignore[arg-type]

"""Figures: what was measured, beside its reference, against its budget, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit for the ratio to the reference, or for the figure itself."""

    limit: float
    at_least: bool = False
    of: Literal["ratio", "figure"] = "ratio"

    def keeps(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """Values of one figure, and those of the reference that were taken in turn with them."""

    what: str
    values: Sequence[float]
    unit: str
    reference: str = ""
    beside: Sequence[float] = ()
    budget: Budget | None = None

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.values, self.beside, strict=True)
        return [value / reference for value, reference in pairs]

    def cells(self) -> tuple[str, ...]:
        beside = f"{self.reference}: {spread(self.beside, self.unit)}" if self.beside else ""
        ratio = spread(self.ratios) if self.beside else ""
        return self.what, spread(self.values, self.unit), beside, ratio, *self._judgement()

    def _judgement(self) -> tuple[str, str]:
        budget = self.budget
        if budget is None:
            return "", ""
        unit = f" {self.unit}" if budget.of == "figure" else ""
        value = median(self.values if budget.of == "figure" else self.ratios)
        said = f"{'≥' if budget.at_least else '≤'} {budget.limit:g}{unit}"
        return said, "ok" if budget.keeps(value) else "OVER"


HEADINGS = ("what", "figure", "reference", "ratio", "budget", "")


def spread(values: Sequence[float], unit: str = "") -> str:
    """The median, and from the least to the most if there are several."""
    text = f"{number(median(values))} {unit}".rstrip()
    if len(values) > 1:
        text += f" ({number(min(values))}-{number(max(values))})"
    return text


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: Sequence[Row]) -> str:
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )

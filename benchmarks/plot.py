"""Charts as SVG: lines over two axes, linear or logarithmic. Enough for a page of the docs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import ceil, floor, log10
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 40, 50
COLOURS = ("#06ac38", "#1f6feb", "#d1242f", "#8250df")
INK = "#57606a"  # to be read on white and on black


@dataclass
class Line:
    """A named line through points."""

    name: str
    points: list[tuple[float, float]] = field(default_factory=list)

    def add(self, x: float, y: float) -> None:
        self.points.append((x, y))


@dataclass(frozen=True)
class Axis:
    """Places values between two ends, in pixels."""

    ticks: list[float]
    ends: tuple[float, float]
    scale: Callable[[float], float]

    def at(self, value: float) -> float:
        low, high = self.scale(self.ticks[0]), self.scale(self.ticks[-1])
        share = (self.scale(value) - low) / (high - low)
        return self.ends[0] + share * (self.ends[1] - self.ends[0])


def axis(values: list[float], ends: tuple[float, float], log: bool) -> Axis:
    if log:
        low = floor(log10(min(values)))
        powers = range(low, max(low + 1, ceil(log10(max(values)))) + 1)
        return Axis([10.0**power for power in powers], ends, log10)
    step = 10.0 ** floor(log10(max(values)))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if max(values) / s <= 6)
    return Axis([step * n for n in range(ceil(max(values) / step) + 1)], ends, lambda value: value)


def chart(title: str, across: str, up: str, lines: Iterable[Line], log: bool = True) -> str:
    """An SVG document; `across` and `up` say what the axes are."""
    lines = list(lines)
    points = [point for line in lines for point in line.points]
    xs = axis([x for x, _ in points], (LEFT, WIDTH - RIGHT), log)
    ys = axis([y for _, y in points], (HEIGHT - BOTTOM, TOP), log)
    parts = [_text(LEFT, TOP - 18, f"{title} ({up})", "start")]
    for x in xs.ticks:
        parts.append(_rule(xs.at(x), TOP, xs.at(x), HEIGHT - BOTTOM))
        parts.append(_text(xs.at(x), HEIGHT - BOTTOM + 18, f"{x:,g}", "middle"))
    for y in ys.ticks:
        parts.append(_rule(LEFT, ys.at(y), WIDTH - RIGHT, ys.at(y)))
        parts.append(_text(LEFT - 8, ys.at(y) + 4, f"{y:,g}", "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, across, "middle"))
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{xs.at(x):.1f},{ys.at(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(lines) > 1:
            parts.append(
                _text(WIDTH - RIGHT + 12, TOP + 16 + 20 * number, line.name, "start", colour)
            )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = INK) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{INK}" stroke-opacity="0.25"/>'

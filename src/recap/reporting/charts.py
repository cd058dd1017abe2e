"""Line charts as inline SVG: they stay sharp, follow the page's colours, and need no library.

In: series of (step, value). Out: markup that holds nothing but numbers and the caller's fixed texts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup, escape

from recap.reporting.axes import round_axis
from recap.reporting.formatting import plain
from recap.reporting.run import Series

WIDTH, HEIGHT = 440, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 40
# More points than this would not be told apart; extremes are kept, so that a spike is never smoothed away.
MAX_POINTS = 400
SMOOTHING = 0.05  # share of the run that the bold line's rolling median looks at


@dataclass(frozen=True)
class Line:
    """A series (at least one point, steps ascending), and the style class of its colour."""

    series: Series
    style: str = "b"


def line_chart(lines: Sequence[Line], *, title: str, description: str, raw: bool = True) -> Markup:
    """The rolling median of each line in bold and, where `raw`, every value as a thin one, on linear axes.

    Args:
        lines: At least one; a later one is drawn over an earlier one.
        title: For screen readers, with `description`.
        description: What the chart shows, in a sentence.
        raw: Whether to draw single values; those of many runs would hide one another.
    """
    trends = [_thinned(_smoothed(line.series)) for line in lines]
    drawn = [*trends, *(line.series for line in lines if raw)]
    steps = [step for series in drawn for step, _ in series]
    values = [value for series in drawn for _, value in series]
    low, high, y_ticks = round_axis(min(values), max(values))
    first, last = min(steps), max(max(steps), min(steps) + 1)

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        return x, TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def path(series: Series, style: str) -> str:
        return f'<path class="{style}" d="{_path([place(*point) for point in series])}"/>'

    thin = "".join(path(_thinned(line.series), f"raw {line.style}") for line in lines if raw)
    bold = "".join(path(trend, f"trend {line.style}") for line, trend in zip(lines, trends, strict=True))
    grid = "".join(y_tick(place(first, tick)[1], tick) for tick in y_ticks)
    marks = "".join(_x_tick(place(step, low)[0], step) for step in sorted({first, (first + last) // 2, last}))
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(plain(title))}</title><desc>{escape(plain(description))}</desc>"
        f'{grid}{marks}<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}" text-anchor="middle">'
        f"step</text>{thin}{bold}</svg>"
    )


def _smoothed(series: Series) -> Series:
    half = round(SMOOTHING * len(series) / 2)
    values = [value for _, value in series]
    return [(step, median(values[max(0, i - half) : i + half + 1])) for i, (step, _) in enumerate(series)]


def _thinned(series: Series) -> Series:
    """At most `MAX_POINTS` points: of every stretch, its smallest and its largest value."""
    if len(series) <= MAX_POINTS:
        return series
    stretch = math.ceil(2 * len(series) / MAX_POINTS)
    kept: set[tuple[int, float]] = set()
    for start in range(0, len(series), stretch):
        part = series[start : start + stretch]
        kept |= {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
    return sorted(kept)


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def y_tick(y: float, value: float) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'


def _x_tick(x: float, step: int) -> str:
    # The last label ends at the chart's edge; centred, a wide number would be cut there.
    anchor, place = ("end", WIDTH) if x >= WIDTH - RIGHT else ("middle", x)
    return f'<text class="tick" x="{place:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="{anchor}">{step}</text>'

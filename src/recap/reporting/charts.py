"""Line charts as inline SVG: they stay sharp, follow the page's colours, and need no library.

In: a series of (step, value). Out: markup that holds nothing but numbers and the caller's fixed texts.
"""

import math
from statistics import median

from markupsafe import Markup, escape

from recap.reporting.run import Series

WIDTH, HEIGHT = 440, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34
# More points than this would not be told apart; extremes are kept, so that a spike is never smoothed away.
MAX_POINTS = 400
SMOOTHING = 0.05  # share of the run that the bold line's rolling median looks at


def line_chart(series: Series, *, title: str, description: str) -> Markup:
    """Every value as a thin line and their rolling median as a bold one, on linear axes.

    Args:
        series: At least one point, steps ascending.
        title: For screen readers, with `description`.
        description: What the chart shows, in a sentence.
    """
    steps = [step for step, _ in series]
    values = [value for _, value in series]
    low, high, y_ticks = _axis(min(values), max(values))
    first, last = steps[0], max(steps[-1], steps[0] + 1)

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)
        return x, TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    thin = _path([place(step, value) for step, value in _thinned(series)])
    bold = _path([place(step, value) for step, value in _thinned(_smoothed(series))])
    grid = "".join(_y_tick(place(first, tick)[1], tick) for tick in y_ticks)
    marks = "".join(_x_tick(place(step, low)[0], step) for step in sorted({first, (first + last) // 2, last}))
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
        f'{grid}{marks}<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}" text-anchor="middle">'
        f'step</text><path class="raw" d="{thin}"/><path class="trend" d="{bold}"/></svg>'
    )


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round limits around the values, and three to six round ticks between them."""
    spread = high - low or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(spread))
    step *= next(factor for factor in (0.2, 0.5, 1, 2) if spread / (factor * step) <= 5)
    start, end = math.floor(low / step), math.ceil(high / step)
    if start == end:
        end += 1
    return start * step, end * step, [index * step for index in range(start, end + 1)]


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


def _y_tick(y: float, value: float) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'


def _x_tick(x: float, step: int) -> str:
    # The last label ends at the chart's edge; centred, a wide number would be cut there.
    anchor, place = ("end", WIDTH) if x >= WIDTH - RIGHT else ("middle", x)
    return f'<text class="tick" x="{place:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{step}</text>'

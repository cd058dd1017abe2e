"""How well captions fit their pictures before and after processing: the spread of their cosines, as a chart.

In: rows with `alignment`, gone through once. Out: counts, and markup that holds nothing but numbers and fixed texts.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from recap.reporting.axes import round_axis
from recap.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, y_tick
from recap.reporting.formatting import MINUS
from recap.reporting.run import Row

# Cosines are counted this finely, and drawn in at most so many bars.
STEPS_PER_UNIT = 200
MAX_BARS = 40
# Widths of a bar, in steps: 0.005, 0.01, 0.02, ...
WIDTHS = (1, 2, 4, 10, 20, 40)


@dataclass(frozen=True)
class Spread:
    """Cosines of captions and their pictures.

    Attributes:
        rows: How many rows have one.
        unscored: How many have none.
        mean: None where no row has one.
        counts: Rows by the step of 1 / `STEPS_PER_UNIT` that their cosine lies in.
    """

    rows: int
    unscored: int
    mean: float | None
    counts: Counter[int]


def spread_of(rows: Iterable[Row]) -> Spread:
    """Go through rows with `alignment`, a cosine or None."""
    counts: Counter[int] = Counter()
    unscored, total = 0, 0.0
    for row in rows:
        alignment = row.get("alignment")
        if alignment is None:
            unscored += 1
            continue
        total += alignment
        # A cosine of a float that was rounded to six decimals is not to fall below its own step.
        counts[math.floor(alignment * STEPS_PER_UNIT + 1e-9)] += 1
    count = counts.total()
    return Spread(count, unscored, total / count if count else None, counts)


def spread_chart(before: Spread, after: Spread) -> Markup:
    """Percent of captions by cosine: bars before processing, a stepped line after it.

    Args:
        before: At least one row with a cosine.
        after: The same.
    """
    steps = [*before.counts, *after.counts]
    first, last = min(steps), max(steps)
    width = next((width for width in WIDTHS if (last - first) / width < MAX_BARS), WIDTHS[-1])
    bars = range(first // width, last // width + 1)
    shares = [_shares(spread, width) for spread in (before, after)]
    _, high, ticks = round_axis(0.0, max(max(share.values()) for share in shares))

    def x(bar: int) -> float:
        return LEFT + (bar - bars.start) / len(bars) * (WIDTH - LEFT - RIGHT)

    def y(percent: float) -> float:
        return TOP + (high - percent) / high * (HEIGHT - TOP - BOTTOM)

    old, new = shares
    drawn = "".join(
        f'<rect class="bar a" x="{x(bar):.1f}" y="{y(old[bar]):.1f}" width="{x(bar + 1) - x(bar):.1f}" '
        f'height="{y(0) - y(old[bar]):.1f}"/>'
        for bar in bars
        if old[bar]
    )
    corners = [(x(bars.start), y(0)), *((x(end), y(new[bar])) for bar in bars for end in (bar, bar + 1)), (x(bars.stop), y(0))]
    line = "M" + "L".join(f"{left:.1f} {top:.1f}" for left, top in corners)
    grid = "".join(y_tick(y(tick), tick) for tick in ticks)
    every = math.ceil(len(bars) / 6)
    marks = "".join(
        f'<text class="tick" x="{x(bar):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
        f"{_cosine(bar * width / STEPS_PER_UNIT)}</text>"
        for bar in bars[::every]
    )
    said = f"mean {before.mean:.3f} before, {after.mean:.3f} after"
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>Alignment before and after</title>'
        f"<desc>Percent of captions by the cosine of caption and picture: {escape(said)}</desc>{grid}{marks}"
        f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}" text-anchor="middle">cosine</text>'
        f'{drawn}<path class="trend b" d="{line}"/></svg>'
    )


def _shares(spread: Spread, width: int) -> Counter[int]:
    """Percent of the rows by bar; a bar holds `width` steps."""
    shares: Counter[int] = Counter()
    for step, count in spread.counts.items():
        shares[step // width] += count
    return Counter({bar: 100 * count / spread.rows for bar, count in shares.items()})


def _cosine(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)

"""How well captions fit their pictures before and after processing: the spread of their cosines, as a chart.

In: what `quality` counted. Out: markup that holds nothing but numbers and fixed texts.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

from recap.reporting.axes import round_axis
from recap.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, y_tick
from recap.reporting.formatting import MINUS
from recap.reporting.run import Bin

LABELS = 6


def spread_chart(bins: Sequence[Bin]) -> Markup:
    """Percent of captions by cosine: bars before processing, a stepped line after it, where any is scored.

    Args:
        bins: At least one, side by side and equally wide, the lowest first.
    """
    _, high, ticks = round_axis(0.0, max(max(found.before, found.after) for found in bins))

    def x(place: int) -> float:
        return LEFT + place / len(bins) * (WIDTH - LEFT - RIGHT)

    def y(percent: float) -> float:
        return TOP + (high - percent) / high * (HEIGHT - TOP - BOTTOM)

    bars = "".join(
        f'<rect class="a" x="{x(place):.1f}" y="{y(found.before):.1f}" width="{x(1) - x(0):.1f}" '
        f'height="{y(0) - y(found.before):.1f}"/>'
        for place, found in enumerate(bins)
        if found.before
    )
    steps = [(x(end), y(found.after)) for place, found in enumerate(bins) for end in (place, place + 1)]
    points = "L".join(f"{left:.1f} {top:.1f}" for left, top in [(x(0), y(0)), *steps, (x(len(bins)), y(0))])
    line = f'<path class="trend b" d="M{points}"/>' if any(found.after for found in bins) else ""
    grid = "".join(y_tick(y(tick), tick) for tick in ticks)
    marks = "".join(
        f'<text class="tick" x="{x(place):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
        f"{f'{bins[place].low:g}'.replace('-', MINUS)}</text>"
        for place in range(0, len(bins), math.ceil(len(bins) / LABELS))
    )
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>Alignment before and after</title>'
        "<desc>Percent of captions by the cosine of caption and picture, before and after processing</desc>"
        f'{grid}{marks}<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 3}" text-anchor="middle">'
        f"cosine</text>{bars}{line}</svg>"
    )

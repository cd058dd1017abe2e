"""Values with error bars as inline SVG, one track a row.

Positions are percentages of the width, so that the chart fills a telephone and a wide screen alike while text and
strokes keep their size. Out: markup that holds nothing but numbers and the caller's escaped labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from recap.reporting.axes import round_axis
from recap.reporting.formatting import MINUS, plain

LABEL_PX, MARK_PX, GAP_PX, AXIS_PX = 22, 18, 14, 26
# The axis starts and ends this far (percent of the width) from the chart's edges, so that no number at an end is cut.
INSET = 4.0


@dataclass(frozen=True)
class Mark:
    """A value with an optional error bar from `low` to `high`; `style` is the class of its colour and shape."""

    value: float
    low: float | None = None
    high: float | None = None
    style: str = "b"


@dataclass(frozen=True)
class Track:
    """A labelled row of the chart. Every list of marks has a line of its own, one below the other."""

    label: str
    lines: Sequence[Sequence[Mark]] = field(default_factory=list)
    note: str = ""


def interval_chart(
    tracks: Sequence[Track], *, title: str, description: str, zero: bool, limits: tuple[float, float] | None = None
) -> Markup:
    """Draw the tracks on one shared axis.

    Args:
        tracks: At least one mark in all of them.
        title: For screen readers, with `description`.
        description: What the chart shows, in a sentence.
        zero: Whether to mark the zero line, which the axis then always holds.
        limits: What the axis holds besides everything that is drawn.
    """
    marks = [mark for track in tracks for line in track.lines for mark in line]
    ends = [end for mark in marks for end in (mark.value, mark.low, mark.high) if end is not None]
    ends += limits or ([0.0] if zero else [])
    low, high, ticks = round_axis(min(ends), max(ends))

    def place(value: float) -> str:
        return f"{INSET + (value - low) / (high - low) * (100 - 2 * INSET):.2f}%"

    drawn, y = [], 0.0
    for track in tracks:
        drawn.append(f'<text class="label" x="0" y="{y + 15:.0f}">{escape(plain(track.label))}</text>')
        drawn.append(
            f'<text class="note" x="100%" y="{y + 15:.0f}" text-anchor="end">{escape(plain(track.note))}</text>'
        )
        y += LABEL_PX
        for line in track.lines:
            drawn += [_drawn(mark, place, y + MARK_PX / 2) for mark in line]
            y += MARK_PX
        y += GAP_PX
    grid = "".join(_tick(place(tick), tick, y, strong=zero and tick == 0) for tick in ticks)
    return Markup(
        f'<svg class="intervals" width="100%" height="{y + AXIS_PX:.0f}" role="img">'
        f"<title>{escape(plain(title))}</title><desc>{escape(plain(description))}</desc>{grid}{''.join(drawn)}</svg>"
    )


def _drawn(mark: Mark, place: Callable[[float], str], y: float) -> str:
    x = place(mark.value)
    bar = ""
    if mark.low is not None and mark.high is not None:
        left, right = place(mark.low), place(mark.high)
        bar = f'<line class="bar {mark.style}" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>' + "".join(
            f'<line class="bar {mark.style}" x1="{end}" x2="{end}" y1="{y - 4:.1f}" y2="{y + 4:.1f}"/>'
            for end in (left, right)
        )
    return f'{bar}<circle class="dot {mark.style}" cx="{x}" cy="{y:.1f}" r="4.5"/>'


def _tick(x: str, value: float, y: float, *, strong: bool) -> str:
    style, label = "zero" if strong else "grid", f"{value:g}".replace("-", MINUS)
    line = f'<line class="{style}" x1="{x}" x2="{x}" y1="{LABEL_PX}" y2="{y:.0f}"/>'
    return f'{line}<text class="tick" x="{x}" y="{y + 17:.0f}" text-anchor="middle">{label}</text>'

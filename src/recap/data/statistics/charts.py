"""Charts of corpus statistics as PNG files whose bytes depend on the data alone.

Drawn on Agg through matplotlib's object interface: no display, no global state, no version or date in the file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from recap.io import atomic_path
from recap.runtime.display import visible

INK, GRID = "#333333", "#dddddd"
COLOURS = ("#4c78a8", "#f58518", "#54a24b")
DPI = 120
LONGEST_LABEL = 40
"""Characters of a bar's label; a longer one would leave no room for bars."""


def word_chart(path: str | Path, histograms: Mapping[str, Sequence[float]], title: str) -> None:
    """Draw how many words captions have.

    Args:
        path: The PNG to write.
        histograms: Percent of captions by number of words (`text.word_histogram`), by name of corpus.
        title: Above the chart.
    """
    figure, axes = _figure(title)
    width = 0.9 / len(histograms)
    for index, (name, histogram) in enumerate(histograms.items()):
        offset = (index - (len(histograms) - 1) / 2) * width
        positions = [number + offset for number in range(len(histogram))]
        axes.bar(positions, histogram, width=width, color=COLOURS[index], label=name)
    _finish(axes, xlabel="words in a caption", ylabel="captions (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(histograms) > 1:
        axes.legend(frameon=False)
    _save(figure, path)


def histogram_chart(path: str | Path, values: Sequence[float], *, title: str, xlabel: str, ylabel: str) -> None:
    """Draw a histogram of values in at most 40 bins of equal width."""
    figure, axes = _figure(title)
    axes.hist(values, bins=min(40, max(len(set(values)), 1)), color=COLOURS[0], edgecolor="white", linewidth=0.5)
    _finish(axes, xlabel=xlabel, ylabel=ylabel)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)


def image_size_chart(path: str | Path, sizes: Sequence[tuple[int, int]], *, small_below: int, title: str) -> None:
    """Draw one point per image, width against height in pixels, and the line below which an image is small."""
    figure, axes = _figure(title)
    widths, heights = [width for width, _ in sizes], [height for _, height in sizes]
    alpha = 0.8 if len(sizes) <= 100 else 0.25
    axes.scatter(widths, heights, s=14, color=COLOURS[0], alpha=alpha, linewidths=0)
    axes.axvline(small_below, color=COLOURS[1], linewidth=1, linestyle="--")
    axes.axhline(small_below, color=COLOURS[1], linewidth=1, linestyle="--", label=f"{small_below} px")
    axes.set_xlim(0, 1.05 * max([small_below, *widths]))
    axes.set_ylim(0, 1.05 * max([small_below, *heights]))
    _finish(axes, xlabel="width (px)", ylabel="height (px)")
    axes.legend(frameon=False, loc="upper left")
    _save(figure, path)


def bar_chart(path: str | Path, values: Mapping[str, float], *, title: str, xlabel: str) -> None:
    """Draw one horizontal bar per value, the first on top."""
    figure, axes = _figure(title, height=max(2.0, 0.9 + 0.2 * len(values)))
    names = [_label(name) for name in values]
    axes.barh(range(len(names)), list(values.values()), color=COLOURS[0], height=0.75)
    # A dollar is a dollar: between two of them matplotlib would expect a formula, and stop where it finds none.
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    _finish(axes, xlabel=xlabel, ylabel="")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelsize=8)
    _save(figure, path)


def _label(text: str) -> str:
    """A word of others beside its bar: on one line, and short enough to leave room for bars."""
    shown = visible(" ".join(text[: LONGEST_LABEL + 1].split()))
    return shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 1]}…"


def growth_chart(path: str | Path, points: Sequence[tuple[int, int]], *, title: str, xlabel: str, ylabel: str) -> None:
    """Draw a line through points, from the origin on."""
    figure, axes = _figure(title)
    axes.plot([0, *(x for x, _ in points)], [0, *(y for _, y in points)], color=COLOURS[0], linewidth=2)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    _finish(axes, xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _save(figure, path)


def comparison_chart(
    path: str | Path, measures: Mapping[str, Mapping[str, Mapping[str, Any]]], titles: Mapping[str, str], title: str
) -> None:
    """Draw pairs of points with their intervals, before and after, one small panel per measure: their scales differ.

    Args:
        path: The PNG to write.
        measures: For "before", "after" and "change", by measure: `value`, `low`, `high`; what has no value shows "n/a".
        titles: The measures to draw, and how a reader would call them.
        title: Above the chart.
    """
    columns = 4
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(9, 0.7 + 2.2 * rows), dpi=DPI, layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, label) in zip(panels, titles.items(), strict=False):
        _pair_panel(axes, label, *(measures[side][name] for side in ("before", "after", "change")))
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    _save(figure, path)


def _pair_panel(
    axes: Axes, name: str, before: Mapping[str, Any], after: Mapping[str, Any], change: Mapping[str, Any]
) -> None:
    for place, (estimate, colour) in enumerate(zip((before, after), COLOURS, strict=False)):
        if estimate["value"] is None:
            axes.text(place, 0.5, "n/a", transform=axes.get_xaxis_transform(), ha="center", color=INK, fontsize=8)
            continue
        axes.errorbar(place, estimate["value"], yerr=_reaches(estimate), fmt="o", color=colour, markersize=5, capsize=4)
        axes.annotate(
            f"{estimate['value']:.3g}", (place, estimate["value"]), xytext=(7, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_xlim(-0.5, 1.8)
    axes.margins(y=0.2)
    axes.set_xticks([0, 1], ["before", "after"])
    axes.set_title(f"{name}\n{_change(change)}", fontsize=8, color=INK)
    axes.tick_params(labelsize=7, length=0, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.6)


def _reaches(estimate: Mapping[str, Any]) -> list[list[float]] | None:
    """How far an interval reaches below and above its value."""
    if estimate["low"] is None:
        return None
    return [[estimate["value"] - estimate["low"]], [estimate["high"] - estimate["value"]]]


def _change(change: Mapping[str, Any]) -> str:
    if change["value"] is None:
        return "no change known"
    if change["low"] is None:
        return f"{change['value']:+.3g}"
    return f"{change['value']:+.3g} [{change['low']:+.3g}, {change['high']:+.3g}]"


def overlaid_chart(
    path: str | Path, edges: Sequence[float], shares: Mapping[str, Sequence[float]], *, title: str, xlabel: str
) -> None:
    """Draw histograms over one another.

    Args:
        path: The PNG to write.
        edges: Of the bins, one more than there are.
        shares: Percent in each bin, by name; without one, the chart is empty.
        title: Above the chart.
        xlabel: What the bins are of.
    """
    figure, axes = _figure(title)
    for (name, values), colour in zip(shares.items(), COLOURS, strict=False):
        axes.stairs(values, edges, color=colour, fill=True, alpha=0.35)
        axes.stairs(values, edges, color=colour, linewidth=1.5, label=name)
    _finish(axes, xlabel=xlabel, ylabel="captions (%)")
    if shares:
        axes.legend(frameon=False)
    _save(figure, path)


def _figure(title: str, height: float = 4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=12, color=INK)
    return figure, axes


def _finish(axes: Axes, *, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: str | Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})

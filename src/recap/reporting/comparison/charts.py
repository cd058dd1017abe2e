"""The charts of a comparison: differences with their intervals, every run's score, and both sides' losses."""

from typing import Any

from markupsafe import Markup

from recap.reporting.charts import Line, line_chart
from recap.reporting.comparison.sides import ComparedRun, Side
from recap.reporting.formatting import interval, points
from recap.reporting.intervals import Mark, Track, interval_chart
from recap.reporting.labels import title_of

Benchmarks = dict[str, dict[str, Any]]


def difference_chart(benchmarks: Benchmarks) -> Markup:
    """The shown difference of every benchmark, and below it the grounded one, with their intervals."""
    tracks = []
    for name, found in benchmarks.items():
        lines = [
            [Mark(part["difference"], part["low"], part["high"], style)]
            for part, style in ((found["shown"], "b"), (found["grounded"], "grounded"))
            if part
        ]
        shown = found["shown"]
        note = f"{points(shown['difference'])} {interval(shown['low'], shown['high'])}".strip()
        tracks.append(Track(title_of(name), lines, note))
    described = "; ".join(f"{track.label} {track.note}" for track in tracks)
    return interval_chart(tracks, title="Differences in points", description=described, zero=True)


def score_chart(benchmarks: Benchmarks, a: Side, b: Side) -> Markup:
    """Every run's share of questions answered correctly with its standard error, and the blanked one as a ring."""
    tracks = []
    for name, found in benchmarks.items():
        lines = [
            [mark for run in side.runs for mark in _score_marks(run.artifacts.metrics.get(name, {}), style)]
            for side, style in ((a, "a"), (b, "b"))
        ]
        note = f"{found['shown']['a']:.1f} → {found['shown']['b']:.1f}"
        tracks.append(Track(title_of(name), [line for line in lines if line], note))
    described = "; ".join(f"{track.label} {track.note}" for track in tracks)
    return interval_chart(tracks, title="Answered correctly, %", description=described, zero=False, limits=(0, 100))


def _score_marks(scores: dict[str, Any], style: str) -> list[Mark]:
    value, error, blank = (scores.get(name) for name in ("accuracy", "accuracy_stderr", "blank_accuracy"))
    marks = [] if blank is None else [Mark(blank, style="blank")]
    if value is not None:
        low, high = (None, None) if error is None else (value - error, value + error)
        marks.append(Mark(value, low, high, style))
    return marks


def loss_chart(stage: str, a: Side, b: Side) -> Markup | None:
    """The loss of every run of both sides; None where no run recorded one."""
    lines = [
        Line(series, style)
        for side, style in ((a, "a"), (b, "b"))
        for run in side.runs
        if (series := _loss(run, stage))
    ]
    if not lines:
        return None
    ends = "; ".join(
        f"{run.name} from {series[0][1]:.4g} to {series[-1][1]:.4g}"
        for side in (a, b)
        for run in side.runs
        if (series := _loss(run, stage))
    )
    single = len(a.runs) == len(b.runs) == 1
    return line_chart(lines, title=f"Loss, {stage}", description=f"Loss of {stage}: {ends}", raw=single)


def _loss(run: ComparedRun, stage: str) -> list[tuple[int, float]]:
    return run.artifacts.curves[stage].get("loss", [])

"""The report: one HTML page that holds a whole run, with pictures, curves and style inside it.

In: a `Run`. Out: HTML that asks for nothing from anywhere: it can be mailed, archived and opened in ten years.
Captions, questions and answers are other people's text: the template escapes every value.
"""

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from recap.comparison.flattening import flatten
from recap.data.benchmarks.registry import BENCHMARKS
from recap.reporting.charts import line_chart
from recap.reporting.examples import answer_examples, caption_examples, dropped_examples
from recap.reporting.labels import CURVE_LABELS, PROOF_LABELS, QUALITY_LABELS, TRAINING_LABELS, title_of
from recap.reporting.provenance import durations, hardware, revision, versions
from recap.reporting.run import CURVES, TRAINING_STAGES, Run

DASH = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Fact:
    """A labelled number, with an optional remark."""

    label: str
    value: Any
    remark: str = ""


@dataclass(frozen=True)
class Change:
    """One property of the corpus before and after processing."""

    label: str
    hint: str
    before: Any
    after: Any

    @property
    def difference(self) -> float | None:
        numbers = (self.before, self.after)
        return self.after - self.before if all(isinstance(value, int | float) for value in numbers) else None


def render(run: Run) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("recap.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "breakable": breakable, "title_of": title_of}
    scores = [(name, run.metrics[name]) for name in run.benchmarks]
    return environment.get_template("report.html").render(
        recipe=run.params.recipe,
        seed=run.params.seed,
        commit=revision(),
        headline=headline(run),
        scores=scores,
        blanked=any(score.get("blank_accuracy") is not None for _, score in scores),
        process=run.metrics.get("process", {}),
        captions=caption_examples(run),
        dropped=dropped_examples(run),
        quality=quality_changes(run.metrics.get("quality", {})),
        training=[(stage, training_facts(run, stage), charts(run, stage)) for stage in TRAINING_STAGES],
        proof=facts(run.metrics.get("merge", {}), PROOF_LABELS),
        merge=run.metrics.get("merge", {}),
        tolerance=run.params.merge.tolerance,
        answers=answer_examples(run),
        given=flatten(run.metrics.get("prepare", {})),
        embedded=parts_from(run, "embedded"),
        own=parts_from(run, "user"),
        parameters=flatten(run.params.model_dump(exclude={"machine"})),
        versions=versions(),
        durations=durations(run),
        hardware=hardware(run),
        notes=[
            f"{BENCHMARKS[name].title}: {BENCHMARKS[name].note}." for name in run.benchmarks if BENCHMARKS[name].note
        ],
    )


def headline(run: Run) -> list[Fact]:
    """The numbers that stand at the top: score, what the text alone gives away, rows kept, minutes."""
    found = []
    if run.benchmarks:
        first = run.benchmarks[0]
        scores = run.metrics[first]
        error = scores.get("accuracy_stderr")
        remark = f"± {error:.1f} standard error" if error is not None else ""
        found.append(Fact(f"{title_of(first)} accuracy, %", scores["accuracy"], remark))
        if scores.get("blank_accuracy") is not None:
            found.append(Fact("with the image blanked, %", scores["blank_accuracy"], "what the text gives away"))
    if process := run.metrics.get("process"):
        found.append(Fact("rows trained on", process["rows_out"], f"of {process['rows_in']:,} in the corpus"))
    if run.timings:
        minutes = sum(timing["seconds"] for timing in run.timings) / 60
        found.append(Fact("minutes", minutes, "all stages together"))
    return found


def parts_from(run: Run, origin: str) -> list[str]:
    """The parts of the data (corpus, finetune, each benchmark) that came from the user or the embedded world."""
    sources = run.metrics.get("prepare", {}).get("sources", {})
    return [part for part, found in sources.items() if found == origin]


def facts(values: dict[str, Any], labels: dict[str, str]) -> list[Fact]:
    """The values that have a label, in the labels' order."""
    return [Fact(label, values[name]) for name, label in labels.items() if name in values]


def training_facts(run: Run, stage: str) -> list[Fact]:
    return facts(run.metrics.get(stage, {}), TRAINING_LABELS)


def charts(run: Run, stage: str) -> list[tuple[str, Markup]]:
    """Loss and gradient norm of a stage, each with its caption."""
    drawn = []
    for name in CURVES:
        series = run.curves[stage].get(name)
        if series:
            described = (
                f"{CURVE_LABELS[name]} of {stage} from {series[0][1]:.4g} to {series[-1][1]:.4g}, {len(series)} steps"
            )
            chart = line_chart(series, title=f"{CURVE_LABELS[name]}, {stage}", description=described)
            drawn.append((CURVE_LABELS[name], chart))
    return drawn


def quality_changes(quality: dict[str, Any]) -> list[Change]:
    """Every property that was measured before and after, the known ones first."""
    before, after = (flatten(quality.get(side, {})) for side in ("before", "after"))
    shared = [name for name in before if name in after]
    known = [name for name in QUALITY_LABELS if name in shared]
    return [
        Change(*QUALITY_LABELS.get(name, (name, "")), before[name], after[name])
        for name in [*known, *(name for name in shared if name not in known)]
    ]


def number(value: Any, digits: int | None = None) -> str:
    """A value as people read it: 2,400; 61.24; 1.2 × 10⁻⁵; a dash where there is none; lists joined."""
    match value:
        case None:
            return DASH
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.{digits}f}" if digits is not None else _significant(value, 4)
        case list():
            return ", ".join(number(item) for item in value)
    return str(value) or '""'


def _significant(value: float, digits: int) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}" if exponent else mantissa


def signed(value: float | None) -> str:
    """A change, to three digits: +0.0562, −2.1, 0; a dash where there is none."""
    if value is None:
        return DASH
    return "0" if value == 0 else f"{'+' if value > 0 else '−'}{_significant(abs(value), 3)}"


def breakable(text: Any) -> Markup:
    """Escaped text that may break after `_`, `.` and `/`: long identifiers fit a narrow screen."""
    escaped = str(escape(text))
    for mark in "_./":
        escaped = escaped.replace(mark, f"{mark}<wbr>")
    return Markup(escaped)

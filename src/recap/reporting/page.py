"""The report: one HTML page that holds a whole run, with pictures, curves and style inside it.

In: a `Run`. Out: HTML that asks for nothing from anywhere: it can be mailed, archived and opened in ten years.
"""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recap.comparison.flattening import flatten
from recap.params import MACHINE
from recap.reporting.alignment import spread_chart
from recap.reporting.captions import caption_pairs
from recap.reporting.charts import Line, line_chart
from recap.reporting.examples import answer_examples
from recap.reporting.funnel import funnel_steps
from recap.reporting.labels import CURVE_LABELS, PROOF_LABELS, TRAINING_LABELS, notes_on, title_of
from recap.reporting.provenance import durations, hardware, stage_versions, training_environments, training_versions
from recap.reporting.quality import quality_measures, whole_corpora
from recap.reporting.run import CURVES, TRAINING_STAGES, Run
from recap.reporting.templating import environment
from recap.reporting.working_tree import Changes


@dataclass(frozen=True)
class Fact:
    """A labelled number, with an optional remark."""

    label: str
    value: Any
    remark: str = ""


def render(run: Run, changes: Changes | None) -> str:
    """The page.

    Args:
        run: What the page is of.
        changes: How the code and parameters that ran differ from the commit; None for a run outside Git.
    """
    scores = [(name, run.metrics[name]) for name in run.benchmarks]
    measures = quality_measures(run.metrics.get("quality", {}))
    environments = [(found.stage, found) for found in training_environments(run)]
    return (
        environment()
        .get_template("report.html")
        .render(
            recipe=run.params.recipe,
            seed=run.params.seed,
            changes=changes,
            wiring_only=run.metrics.get("check", {}).get("wiring_only", False),
            headline=headline(run),
            scores=scores,
            blanked=any(score.get("blank_accuracy") is not None for _, score in scores),
            explore=run.metrics.get("explore", {}),
            process=run.metrics.get("process", {}),
            steps=funnel_steps(run.metrics.get("process", {})),
            captions=caption_pairs(run),
            alignment=spread_chart(run.alignment) if run.alignment else None,
            aligner=run.params.models.aligner.path,
            aligned=run.metrics.get("align_raw", {}),
            captioned=run.metrics.get("caption", {}),
            quality=run.metrics.get("quality", {}),
            measures=measures,
            fit=next((measure for measure in measures if measure.name == "alignment"), None),
            whole=whole_corpora(run.metrics.get("quality", {})),
            sources=run.metrics.get("finetune", {}).get("by_source", {}),
            training=[(stage, training_facts(run, stage), charts(run, stage)) for stage in TRAINING_STAGES],
            proof=facts(run.metrics.get("merge", {}), PROOF_LABELS),
            merge=run.metrics.get("merge", {}),
            tolerance=run.params.merge.tolerance,
            answers=answer_examples(run),
            given=flatten(run.metrics.get("check", {})),
            embedded=parts_from(run, "embedded"),
            own=parts_from(run, "user"),
            parameters=flatten(run.params.model_dump(exclude={MACHINE})),
            environments=environments,
            training_versions=training_versions(environments),
            stage_versions=stage_versions(run),
            durations=durations(run),
            hardware=hardware(run),
            notes=notes_on({name: score.get("convention") for name, score in scores}),
        )
    )


def headline(run: Run) -> list[Fact]:
    """The numbers that stand at the top: score, what the text alone gives away, rows trained on, minutes."""
    found = []
    if run.benchmarks:
        first = run.benchmarks[0]
        scores = run.metrics[first]
        error = scores.get("accuracy_stderr")
        remark = f"± {error:.1f} standard error" if error is not None else ""
        found.append(Fact(f"{title_of(first)} answered correctly, %", scores["accuracy"], remark))
        if scores.get("blank_accuracy") is not None:
            found.append(Fact("with the image blanked, %", scores["blank_accuracy"], "what the text gives away"))
    if trained := _rows_trained_on(run):
        found.append(trained)
    if run.timings:
        minutes = sum(timing["seconds"] for timing in run.timings) / 60
        found.append(Fact("minutes", minutes, "all stages together"))
    return found


def _rows_trained_on(run: Run) -> Fact | None:
    """Different rows that pretraining saw: fewer than the recipe let through where its steps end before them."""
    pretrain, process = (run.metrics.get(stage, {}) for stage in ("pretrain", "process"))
    if "unique_samples" not in pretrain:
        return None
    remarks = []
    if process:
        remarks.append(f"of {process['rows_out']:,} processed and {process['rows_in']:,} in the corpus")
    if "samples_seen" in pretrain:
        remarks.append(f"{pretrain['samples_seen']:,} samples seen")
    return Fact("rows trained on", pretrain["unique_samples"], "; ".join(remarks))


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
                f"{CURVE_LABELS[name]} of {stage} from {series[0][1]:.4g} to {series[-1][1]:.4g}, {series[-1][0]} steps"
            )
            chart = line_chart([Line(series)], title=f"{CURVE_LABELS[name]}, {stage}", description=described)
            drawn.append((CURVE_LABELS[name], chart))
    return drawn

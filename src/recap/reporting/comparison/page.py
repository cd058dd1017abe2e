"""The page of a comparison: what `recap.comparison` says of two sides, and what lies behind it, in one HTML file.

In: the verdict document and what could be had of both sides' runs. Out: HTML that asks for nothing from anywhere.
Every number about the benchmarks is the document's; pictures, answers, captions and curves come from the runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recap.comparison.sentences import points_more
from recap.comparison.sides import run_order
from recap.comparison.words import BETTER, CANT_TELL, WORSE
from recap.reporting.comparison.captions import caption_pairs
from recap.reporting.comparison.charts import difference_chart, loss_chart, score_chart
from recap.reporting.comparison.flips import Flips, flips
from recap.reporting.comparison.sides import ComparedRun, Side, make_sides
from recap.reporting.formatting import number, p_value
from recap.reporting.funnel import Step, funnel_steps
from recap.reporting.labels import notes_on, title_of
from recap.reporting.provenance import training_environments, training_versions
from recap.reporting.run import TRAINING_STAGES
from recap.reporting.templating import environment

NOT_JUDGED = "not judged"

Found = dict[str, Any]


@dataclass(frozen=True)
class BenchmarkSection:
    """One benchmark: the document's numbers as the page words them, and flips with pictures.

    Attributes:
        name: The benchmark.
        word: The verdict, or why there is none in two words.
        statement: What was found, in a sentence.
        rows: As asked, blanked, and grounded: the table of the scores.
        numbers: The other numbers of the document: label and value.
        found: The document's entry.
        flips: Of the two example runs; None where their answers are not at hand.
    """

    name: str
    word: str
    statement: str
    rows: list["ScoreRow"]
    numbers: list[tuple[str, str]]
    found: Found
    flips: Flips | None


@dataclass(frozen=True)
class ScoreRow:
    """Scores of both sides in percent and their difference in points with its interval, where there is one."""

    label: str
    a: float
    b: float
    difference: float
    low: float | None = None
    high: float | None = None
    no_interval: str | None = None


def _convention(benchmark: str, side: Side) -> str | None:
    """The rule of a benchmark's scores, which is one for all runs that are compared."""
    found: str | None = side.example.artifacts.metrics.get(benchmark, {}).get("convention")
    return found


def render(document: dict[str, Any], runs_a: Sequence[ComparedRun], runs_b: Sequence[ComparedRun]) -> str:
    """The page; the order in which a side's runs are given does not matter.

    Args:
        document: The verdict, as `recap.comparison` writes it.
        runs_a: The runs that it names on side A.
        runs_b: On side B.
    """
    a, b = make_sides(document, runs_a, runs_b)
    benchmarks = document["benchmarks"]
    environments = [
        (f"{run.name} {found.stage}", found)
        for run in (*a.runs, *b.runs)
        for found in training_environments(run.artifacts)
    ]
    # Pictures are read here, so that what is missing is known when the page says it.
    sections = [_section(document, name, found, a, b) for name, found in benchmarks.items()]
    captions = caption_pairs(a, b)
    return (
        environment()
        .get_template("comparison.html")
        .render(
            document=document,
            a=a,
            b=b,
            summary=summary(document),
            confidence=f"{100 * document['confidence']:g} %",
            interval_over=interval_over(document),
            notes=notes_on({name: _convention(name, a) for name in benchmarks}),
            sections=sections,
            differences=difference_chart(benchmarks),
            scores=score_chart(benchmarks, a, b),
            captions=captions,
            funnels=[_funnel(side) for side in (a, b)],
            losses=[(stage, loss_chart(stage, a, b)) for stage in TRAINING_STAGES],
            metrics=_metric_rows(document),
            environments=environments,
            training_versions=training_versions(environments),
            missing=[(run, run.missing) for run in (*a.runs, *b.runs) if run.missing],
        )
    )


def _funnel(side: Side) -> tuple[Side, dict[str, Any], list[Step] | None]:
    process = side.example.artifacts.metrics.get("process", {})
    return side, process, funnel_steps(process)


def interval_over(document: dict[str, Any]) -> str | None:
    """What the verdict's intervals allow for, for example "questions of these two runs"; None where there is none."""
    found = (verdict["shown"]["interval_over"] for verdict in document["benchmarks"].values())
    return next((over for over in found if over), None)


def summary(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The words and the benchmarks that each was given to: ("better", "TextVQA, OK-VQA"); empty where none was."""
    named = [
        (word, ", ".join(title_of(name) for name, found in document["benchmarks"].items() if found["word"] == word))
        for word in (BETTER, WORSE, CANT_TELL)
    ]
    return [(word, names) for word, names in named if names]


def _section(document: dict[str, Any], name: str, found: Found, a: Side, b: Side) -> BenchmarkSection:
    return BenchmarkSection(
        name,
        word=found["word"] or NOT_JUDGED,
        statement=_statement(document, found["shown"]),
        rows=_score_rows(found),
        numbers=_numbers(found),
        found=found,
        flips=flips(name, a, b),
    )


def _statement(document: dict[str, Any], shown: Found) -> str:
    """ "blip2 answers 31.9 points more than baseline": of runs where the recipe is not judged, else of recipes."""
    a, b = document["a"], document["b"]
    runs_a, runs_b = len(a["runs"]), len(b["runs"])
    if document["judged"]:
        more = points_more(shown["difference"], than=a["label"])
        return f"{b['label']} answers {more}: means of {runs_b} and {runs_a} seeds."
    because = document["not_judged_because"]
    if runs_a == runs_b == 1:
        more = points_more(shown["difference"], than=f"{a['label']}'s")
        return f"{b['label']}'s run answers {more}; {because}."
    more = points_more(shown["difference"], than=f"{a['label']}'s {runs_a}")
    return f"{b['label']}'s {runs_b} runs answer {more}; {because}."


def _score_rows(found: Found) -> list[ScoreRow]:
    shown, grounded = found["shown"], found["grounded"]
    rows = [_score_row("as asked", shown)]
    if grounded:
        blank_a, blank_b = (shown[side] - grounded[side] for side in ("a", "b"))
        rows += [
            ScoreRow("image blanked", blank_a, blank_b, blank_b - blank_a),
            _score_row("grounded: as asked less blanked", grounded),
        ]
    return rows


def _score_row(label: str, part: Found) -> ScoreRow:
    names = ("a", "b", "difference", "low", "high", "no_interval")
    return ScoreRow(label, *(part[name] for name in names))


# What the document says of a difference besides the difference: the words for it, and how it is printed.
NUMBERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "standard_error": ("standard error, points", lambda value: number(value, 2)),
    "degrees_of_freedom": ("degrees of freedom", lambda value: number(value, 1)),
    "p": ("p", p_value),
    "detectable": ("detectable difference, points", lambda value: number(value, 2)),
}


def _numbers(found: Found) -> list[tuple[str, str]]:
    shown, grounded = found["shown"], found["grounded"]
    rows = [
        ("questions", number(shown["questions"])),
        ("images", number(shown["images"])),
        ("images whose score changed", number(shown["changed_images"])),
        *_printed(shown),
    ]
    if found["p_holm"] is not None:
        rows.append(("p, Holm over the benchmarks", p_value(found["p_holm"])))
    if grounded:
        rows.append(("grounded: images that changed", number(grounded["changed_images"])))
        rows += [(f"grounded: {label}", value) for label, value in _printed(grounded)]
    return rows


def _printed(part: Found) -> list[tuple[str, str]]:
    """The numbers that the document has: without an interval there are none, with one run a side not all."""
    return [(label, printed(part[name])) for name, (label, printed) in NUMBERS.items() if part[name] is not None]


@dataclass(frozen=True)
class MetricRow:
    """One metric of the runs: each side's mean over its seeds and, of several, every run's value by seed."""

    name: str
    a: Any
    b: Any
    runs_a: list[Any]
    runs_b: list[Any]

    @property
    def difference(self) -> float | None:
        numbers = (self.a, self.b)
        return self.b - self.a if all(isinstance(value, int | float) for value in numbers) else None


def _metric_rows(document: dict[str, Any]) -> list[MetricRow]:
    return [
        MetricRow(
            name,
            values["a"],
            values["b"],
            _by_seed(document["a"], values["a_runs"]),
            _by_seed(document["b"], values["b_runs"]),
        )
        for name, values in document["metrics"].items()
    ]


def _by_seed(side: dict[str, Any], values: list[Any]) -> list[Any]:
    """The runs' values in the order of their seeds; empty for one run, whose value is the mean."""
    if len(values) < 2:
        return []
    pairs = zip(side["runs"], values, strict=True)
    return [value for _, value in sorted(pairs, key=lambda pair: run_order(pair[0]["seed"], pair[0]["revision"]))]

"""The comparison as plain text: parameters that differ, headline metrics, the verdict table and a closing sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from recap.comparison.revisions import WORKSPACE, Revision
from recap.comparison.statistics import RESAMPLES
from recap.comparison.verdict import BETTER, CANT_TELL, FEW_IMAGES, LEVEL, WORSE, Side, Verdict
from recap.data.benchmarks.registry import BENCHMARKS

# Metrics worth a line in a comparison, in this order; `dvc metrics diff` prints them all.
HEADLINE = (
    "process.kept_percent",
    "process.rows_out",
    *(f"quality.after.{name}" for name in ("words_mean", "mattr", "mtld", "hdd", "distinct_2", "self_bleu")),
    "pretrain.loss_final",
    "finetune.loss_final",
    *(f"{benchmark}.{name}" for benchmark in BENCHMARKS for name in ("accuracy", "blank_accuracy")),
)
_CODE_LISTED = 5


def short(revision: Revision) -> str:
    return revision.commit[:7] if revision.commit else WORKSPACE


def sides_text(a: Side, b: Side) -> str:
    rows = [
        [letter, run.name, short(run), f"recipe {run.params.get('recipe')}", f"seed {run.params.get('seed')}"]
        for letter, side in (("A", a), ("B", b))
        for run in side.runs
    ]
    return table(rows, left=range(5))


def params_text(differing: dict[str, tuple[Any, Any]], code: Sequence[str]) -> str:
    """Parameters and code files that differ; the run's recipe should be the only one."""
    rows = [["  " + name, _value(old), "->", _value(new)] for name, (old, new) in differing.items()]
    lines = ["Parameters that differ", table(rows, left=range(4)) if rows else "  none"]
    if code:
        listed = ", ".join(code[:_CODE_LISTED]) + (", ..." if len(code) > _CODE_LISTED else "")
        lines += [f"Code or recipes differ too, in {len(code)} file(s): {listed}"]
    return "\n".join(lines)


def metrics_text(name_a: str, a: Mapping[str, Any], name_b: str, b: Mapping[str, Any]) -> str:
    """Headline metrics that both revisions have, side by side."""
    rows = []
    for name in HEADLINE:
        old, new = a.get(name), b.get(name)
        if _is_number(old) and _is_number(new):
            rows.append(["  " + name, _value(old), _value(new), f"{new - old:+.4g}"])
    if not rows:
        return "Metrics\n  none in common"
    return table([["Metrics", name_a, name_b, "change"], *rows], left=[0])


def verdict_text(a: Side, b: Side, verdicts: Sequence[Verdict], unshared: Sequence[str]) -> str:
    """The verdict table, what it means in one sentence, and what it cannot know."""
    name_a, name_b = a.runs[0].name, b.runs[0].name
    head = ["benchmark", "questions", "images", name_a, name_b, "difference", "95 % interval", "p", "p (Holm)"]
    rows = [[*head, "detectable", "discordant", "verdict"]]
    for verdict in verdicts:
        found = verdict.difference
        rows.append(
            [
                verdict.benchmark,
                f"{found.questions:,}",
                f"{found.images:,}",
                f"{found.a:.2f}",
                f"{found.b:.2f}",
                f"{found.difference:+.2f}",
                f"[{found.low:+.2f}, {found.high:+.2f}]",
                _p(found.p),
                _p(verdict.p_holm),
                f"{found.minimum_detectable:.2f}",
                f"{found.discordant:.1f} %",
                verdict.word,
            ]
        )
    lines = [
        f"Verdict: paired by question, bootstrap over images ({RESAMPLES:,} resamples), points of 100",
        table(rows, left=[0, 11]),
        "",
        closing_sentence(name_a, name_b, verdicts),
        *notes(a, verdicts, unshared),
    ]
    return "\n".join(lines)


def closing_sentence(name_a: str, name_b: str, verdicts: Sequence[Verdict]) -> str:
    told = {
        word: ", ".join(verdict.benchmark for verdict in verdicts if verdict.word == word) or "none"
        for word in (BETTER, WORSE, CANT_TELL)
    }
    return f"{name_b} against {name_a}: " + "; ".join(f"{word}: {names}" for word, names in told.items()) + "."


def notes(a: Side, verdicts: Sequence[Verdict], unshared: Sequence[str]) -> list[str]:
    """What a reader must know beside the numbers, one line each."""
    lines = [
        f"better/worse: p (Holm) below {LEVEL:g}. detectable: the smallest true difference found four times in five."
    ]
    if len(a.runs) == 1:
        lines.append(
            "seed variance unknown: one training seed a side, so another seed may move these differences by more than "
            "the intervals show; give several (-S seed=...) as --a x,x-2,x-3 --b y,y-2,y-3"
        )
    few = [verdict.benchmark for verdict in verdicts if verdict.difference.images < FEW_IMAGES]
    if few:
        lines.append(f"fewer than {FEW_IMAGES} images, so the interval is too narrow: {', '.join(few)}")
    if unshared:
        lines.append(f"not compared, because not every revision scored it: {', '.join(unshared)}")
    return lines


def table(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> str:
    """Columns aligned to the right, except those listed in `left`."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"

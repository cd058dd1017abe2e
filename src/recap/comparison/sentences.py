"""What a comparison says in words: warnings on top, what follows, and what a reader must know beside the numbers."""

from collections.abc import Sequence

from recap.comparison.comparability import Incomparable
from recap.comparison.flips import RIGHT
from recap.comparison.revisions import Revision
from recap.comparison.sides import Side, common_benchmarks, labels, not_judged_because, wiring_only
from recap.comparison.statistics import LEVEL, MIN_SEEDS, OVER_SEEDS
from recap.comparison.tables import TYPES_LISTED
from recap.comparison.verdict import Verdict
from recap.comparison.words import BETTER, CANT_TELL, WORSE
from recap.data.benchmarks.mmbench import PLAIN_ACCURACY

GROUNDED_HEADING = "Grounded: accuracy shown minus blanked"
_CODE_LISTED = 5


def warnings(a: Side, b: Side, incomparable: Sequence[Incomparable]) -> list[str]:
    """What makes the rest worth less, one line each."""
    lines = []
    if wiring_only(a, b):
        lines.append(
            "This only tests the wiring: your own photographs were given to the bundled tiny models, which know "
            "nothing but the drawn world; no number below is about your data."
        )
    if incomparable:
        lines.append(
            f"Not comparable in {len(incomparable)} respect(s), compared all the same (--force): a difference below "
            "may come from these, not from the recipe."
        )
    return lines


def code_sentence(code: Sequence[str]) -> str | None:
    if not code:
        return None
    listed = ", ".join(code[:_CODE_LISTED]) + (", ..." if len(code) > _CODE_LISTED else "")
    return f"Code or recipes differ too, in {len(code)} file(s): {listed}"


def verdict_heading(a: Side, b: Side) -> str:
    because = not_judged_because(a, b)
    return f"Not judged ({because}): what these runs show, in points of 100" if because else "Verdict, in points of 100"


def flips_heading(a: Side, b: Side, verdicts: Sequence[Verdict]) -> str:
    """What the table of flips counts, and what it leaves out."""
    told = f"Flips, in questions; right: a score of at least {RIGHT:g}"
    if len(a.runs) > 1 or len(b.runs) > 1:
        told += "; means over pairs of runs"
    if any(len(verdict.flips) > 1 + TYPES_LISTED for verdict in verdicts):
        told += f"; the {TYPES_LISTED} types with the most flips"
    return told


def closing_sentence(a: Side, b: Side, verdicts: Sequence[Verdict]) -> str:
    """Words where recipes are judged; else what the runs' answers show, and why that is no word."""
    because = not_judged_because(a, b)
    name_a, name_b = labels(a, b)
    if because:
        verb = "run answers" if len(b.runs) == 1 else "runs answer"
        told = ", ".join(f"{points_more(verdict.shown.difference)} ({verdict.benchmark})" for verdict in verdicts)
        return f"{name_b}'s {verb} {told}; {because}: the recipe is not judged."
    named = {
        word: ", ".join(verdict.benchmark for verdict in verdicts if verdict.word == word) or "none"
        for word in (BETTER, WORSE, CANT_TELL)
    }
    return f"{name_b} against {name_a}: " + "; ".join(f"{word}: {names}" for word, names in named.items()) + "."


def points_more(difference: float, than: str | None = None) -> str:
    """ "31.9 points more", "2.0 points fewer" or "as many questions", and, where it is given, than what."""
    size = f"{abs(difference):.1f}"
    if size == "0.0":
        return f"as many questions as {than}" if than else "as many questions"
    more = f"{size} points {'more' if difference > 0 else 'fewer'}"
    return f"{more} than {than}" if than else more


def notes(a: Side, b: Side, verdicts: Sequence[Verdict]) -> list[str]:
    """What a reader must know beside the numbers, one line each."""
    lines = []
    if not_judged_because(a, b) is None:
        lines.append(
            f"better, worse: p (Holm) below {LEVEL:g}, from the interval's own t over questions and seeds. "
            "detectable: the true difference that is found four times in five."
        )
        if len(verdicts) > 1:
            lines.append(f"intervals are 95 % for one benchmark; a word also allows for all {len(verdicts)} of them.")
    else:
        lines.append(f"better and worse need at least {MIN_SEEDS} seeds a side.")
        over = next((verdict.shown.interval_over for verdict in verdicts if verdict.shown.interval_over), None)
        if over == OVER_SEEDS:
            lines.append(f"interval over {over}; two seeds say little of how far seeds move a difference.")
        elif over:
            lines.append(f"interval over {over}: another seed may move a difference by more than it shows.")
    lines += [
        f"{verdict.benchmark}: no interval ({verdict.shown.no_interval})."
        for verdict in verdicts
        if verdict.shown.no_interval
    ]
    conventions = {
        verdict.benchmark: str(a.runs[0].details.get(f"{verdict.benchmark}.convention")) for verdict in verdicts
    }
    lines += [f"{name}: {rule}." for name, rule in conventions.items() if rule.startswith(PLAIN_ACCURACY)]
    if any(verdict.grounded for verdict in verdicts):
        lines.append("grounded differences get no word.")
    lines += _ungrounded([*a.runs, *b.runs], verdicts)
    _, unshared = common_benchmarks(a, b)
    if unshared:
        lines.append(f"not compared, because not every revision scored it: {', '.join(unshared)}.")
    lines.append("number of seeds: choose it before looking; seeds added after a look make false words more frequent.")
    return lines


def _ungrounded(runs: Sequence[Revision], verdicts: Sequence[Verdict]) -> list[str]:
    """Which benchmarks have no grounded difference, one line for each reason."""
    benchmarks: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.grounded is None:
            lacking = {
                run.name: sum(question.blank_score is None for question in run.scores[verdict.benchmark].values())
                for run in runs
            }
            told = (
                "no run has a blank pass"
                if all(count == verdict.shown.questions for count in lacking.values())
                else ", ".join(
                    f"{name} lacks {count:,} of {verdict.shown.questions:,} blank scores"
                    for name, count in lacking.items()
                    if count
                )
            )
            benchmarks.setdefault(told, []).append(verdict.benchmark)
    return [f"no grounded difference on {', '.join(names)}: {told}." for told, names in benchmarks.items()]

"""`python -m recap.reporting.results`: write the result tables of README.md and docs/RESULTS.md anew.

In: `docs/results/verdict.json` (what `python -m recap.comparison ... --json` wrote), `docs/results/simulation.json`
(what `python -m recap.comparison.simulation --json` wrote) and `docs/results/placebo.json` (what `make placebo` wrote).
Out: the text between `<!-- results: NAME -->` and `<!-- end -->` in the two documents; the rest of them is nobody's but
their author's.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recap.comparison import simulation as simulated
from recap.comparison.markdown_table import markdown_table
from recap.comparison.simulation import Outcome, Setting
from recap.io import read_json, write_text
from recap.reporting.formatting import interval, number, p_value, points
from recap.reporting.labels import title_of
from recap.runtime.errors import UserError
from recap.runtime.stage import run

DOCUMENTS = (Path("README.md"), Path("docs/RESULTS.md"))
VERDICT = Path("docs/results/verdict.json")
SIMULATION = Path("docs/results/simulation.json")
PLACEBO = Path("docs/results/placebo.json")

_OPENING, _END = "<!-- results:", "<!-- end -->"
_BLOCK = re.compile(rf"({_OPENING} (?P<name>[a-z-]+) -->\n)(?P<text>.*?)({_END})", re.DOTALL)

# Metric -> how a reader would call it, and its decimals.
METRICS = {
    "pretrain.loss_final": ("loss, last tenth: pretrain", 2),
    "finetune.loss_final": ("loss, last tenth: finetune", 2),
    "finetune.val_loss": ("loss, held-out conversations", 3),
    "pretrain.unique_samples": ("rows trained on", 0),
    "quality.after.words_mean": ("words per caption", 2),
    "quality.after.mattr": ("MATTR-50", 3),
    "quality.after.mtld": ("MTLD", 1),
    "quality.after.hdd": ("HD-D", 3),
    "quality.after.self_bleu": ("self-BLEU (lower is more diverse)", 1),
    "quality.after.alignment": ("alignment, mean cosine", 3),
}

Document = Mapping[str, Any]
Tables = Mapping[str, Callable[[], str]]


def headline_table(verdict: Document) -> str:
    """Every benchmark and the headline metrics of both sides: means over the side's seeds."""
    a, b = verdict["a"]["label"], verdict["b"]["label"]
    rows = [[f"means of {_seeds(verdict)}", a, b, "change", "95 % interval", "verdict", "shown − blanked"]]
    for name, benchmark in verdict["benchmarks"].items():
        shown, grounded = benchmark["shown"], benchmark["grounded"]
        rows.append(
            [
                f"{title_of(name)}, %",
                number(shown["a"], 1),
                number(shown["b"], 1),
                points(shown["difference"]),
                _interval(shown),
                _word(benchmark),
                f"{points(grounded['difference'])} {_interval(grounded)}" if grounded else number(None),
            ]
        )
    for name, (label, decimals) in METRICS.items():
        metric = verdict["metrics"].get(name)
        if metric:
            change = points(metric["b"] - metric["a"], decimals)
            rows.append([label, number(metric["a"], decimals), number(metric["b"], decimals), change, "", "", ""])
    return _with_notes(rows, [*_no_interval(verdict, "shown"), *_no_interval(verdict, "grounded")])


def verdict_table(verdict: Document) -> str:
    """What stands behind each word."""
    rows = [
        ["benchmark", "questions", "images", "difference", "95 % interval", "df", "p (Holm)", "detectable", "verdict"]
    ]
    for name, benchmark in verdict["benchmarks"].items():
        shown = benchmark["shown"]
        rows.append(
            [
                title_of(name),
                number(shown["questions"]),
                number(shown["images"]),
                points(shown["difference"], 2),
                _interval(shown, 2),
                number(shown["degrees_of_freedom"], 1),
                p_value(benchmark["p_holm"]),
                number(shown["detectable"], 2),
                _word(benchmark),
            ]
        )
    settles = [f"{title_of(name)}: {benchmark['settles']}" for name, benchmark in verdict["benchmarks"].items()]
    return _with_notes(rows, [*_no_interval(verdict, "shown"), *settles])


def blank_table(verdict: Document) -> str:
    """Accuracy with the image and with the image blanked, both sides, and the grounded difference."""
    a, b = verdict["a"]["label"], verdict["b"]["label"]
    rows = [["%", a, f"{a}, blanked", b, f"{b}, blanked", "shown − blanked: difference", "95 % interval"]]
    for name, benchmark in verdict["benchmarks"].items():
        shown, grounded = benchmark["shown"], benchmark["grounded"]
        blank = {side: shown[side] - grounded[side] if grounded else None for side in "ab"}
        rows.append(
            [
                title_of(name),
                number(shown["a"], 1),
                number(blank["a"], 1),
                number(shown["b"], 1),
                number(blank["b"], 1),
                points(grounded["difference"] if grounded else None),
                _interval(grounded) if grounded else number(None),
            ]
        )
    return _with_notes(rows, _no_interval(verdict, "grounded"))


def seeds_table(verdict: Document) -> str:
    """Accuracy of every run: how far the same recipe moves from seed to seed."""
    runs = [(side, index, run) for side in "ab" for index, run in enumerate(verdict[side]["runs"])]
    rows = [["accuracy, %", *(f"{verdict[side]['label']}, seed {run['seed']}" for side, _, run in runs)]]
    for name in verdict["benchmarks"]:
        metric = verdict["metrics"][f"{name}.accuracy"]
        rows.append([title_of(name), *(number(metric[f"{side}_runs"][index], 1) for side, index, _ in runs)])
    return markdown_table(rows)


def simulation_table(simulation: Document) -> str:
    """What the verdict does where the truth is known, as `recap.comparison.simulation` printed it."""
    outcomes = [Outcome(**{**row, "setting": Setting(**row["setting"])}) for row in simulation["settings"]]
    return simulated.table(outcomes)


def placebo_table(arms: Document) -> str:
    """Recipes and the placebos beside them, see `recap.comparison.arms.arms_document`."""
    benchmarks = list(next(iter(arms["arms"].values()))["accuracy"])
    rows = [["recipe", "seeds", "rows", "loss, held-out", *(f"{title_of(name)}, %" for name in benchmarks)]]
    for name, arm in arms["arms"].items():
        rows.append(
            [
                f"{name} (placebo)" if arm["placebo"] else name,
                number(len(arm["runs"])),
                number(arm["rows"], 0),
                number(arm["val_loss"], 3),
                *(number(arm["accuracy"].get(benchmark), 1) for benchmark in benchmarks),
            ]
        )
    return markdown_table(rows)


def all_tables(verdict: Document, simulation: Document, placebo: Document) -> Tables:
    """What makes each table, by the name that its marks use."""
    return {
        "headline": lambda: headline_table(verdict),
        "verdict": lambda: verdict_table(verdict),
        "blanked": lambda: blank_table(verdict),
        "seeds": lambda: seeds_table(verdict),
        "simulation": lambda: simulation_table(simulation),
        "placebo": lambda: placebo_table(placebo),
    }


def fill(text: str, tables: Tables, where: str | Path) -> str:
    """Put each table that the text names between its marks; what stands outside the marks stays.

    Raises:
        UserError: A mark names a table that does not exist, or is not followed by its end.
    """

    def block(match: re.Match[str]) -> str:
        if match["name"] not in tables:
            raise UserError(f"{where}: expected a results table among {', '.join(tables)}, found {match['name']!r}")
        return f"{match[1]}{tables[match['name']]()}\n{match[4]}"

    filled, blocks = _BLOCK.subn(block, text)
    if not text.count(_OPENING) == text.count(_END) == blocks:
        raise UserError(
            f"{where}: expected lines `{_OPENING} NAME -->`, each with its `{_END}` below, found "
            f"{text.count(_OPENING)} and {text.count(_END)}, in {blocks} pair(s); write the missing ones"
        )
    return filled


def _seeds(verdict: Document) -> str:
    counts = sorted({len(verdict[side]["runs"]) for side in "ab"})
    return f"{' and '.join(map(str, counts))} {'seed' if counts == [1] else 'seeds'} a side"


def _word(benchmark: Document) -> str:
    return benchmark["word"] or "not judged"


def _interval(found: Document, digits: int = 1) -> str:
    return interval(found["low"], found["high"], digits) or "none"


def _no_interval(verdict: Document, part: str) -> list[str]:
    """Why benchmarks have no interval, a line each; `part` is "shown" or "grounded"."""
    what = {"shown": "", "grounded": ", shown − blanked"}[part]
    return [
        f"{title_of(name)}{what}: no interval, because {benchmark[part]['no_interval']}"
        for name, benchmark in verdict["benchmarks"].items()
        if benchmark[part] and benchmark[part]["no_interval"]
    ]


def _with_notes(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    return "\n".join([markdown_table(rows), *([""] if notes else []), *(f"- {note}" for note in notes)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.reporting.results", description=__doc__)
    parser.add_argument("--verdict", type=Path, default=VERDICT)
    parser.add_argument("--simulation", type=Path, default=SIMULATION)
    parser.add_argument("--placebo", type=Path, default=PLACEBO)
    args = parser.parse_args()
    tables = all_tables(*map(read_json, (args.verdict, args.simulation, args.placebo)))
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        new = fill(text, tables, path)
        print(f"{path}: {'unchanged' if new == text else 'written'}")
        write_text(path, new)


if __name__ == "__main__":
    run(main)

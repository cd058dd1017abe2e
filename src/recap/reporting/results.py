"""`python -m recap.reporting.results`: write the result tables of README.md and docs/RESULTS.md anew.

In: `docs/results/verdict.json` (what `python -m recap.comparison ... --json` wrote) and
`docs/results/simulation.json` (what `python -m recap.comparison.simulation --json` wrote). Out: the text between
`<!-- results: NAME -->` and `<!-- end -->` in the two documents; the rest of them is nobody's but their author's.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recap.comparison import simulation as simulated
from recap.comparison.markdown_table import markdown_table
from recap.comparison.simulation import Outcome, Setting
from recap.io import read_json, write_text
from recap.reporting.labels import title_of
from recap.runtime.errors import UserError
from recap.runtime.stage import run

DOCUMENTS = (Path("README.md"), Path("docs/RESULTS.md"))
VERDICT = Path("docs/results/verdict.json")
SIMULATION = Path("docs/results/simulation.json")

_BLOCK = re.compile(r"(<!-- results: (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)

# Metric -> how a reader would call it, and its decimals.
METRICS = {
    "pretrain.loss_final": ("loss, last tenth: pretrain", 2),
    "finetune.loss_final": ("loss, last tenth: finetune", 2),
    "pretrain.unique_samples": ("rows trained on", 0),
    "quality.after.words_mean": ("words per caption", 2),
    "quality.after.mattr": ("MATTR-50", 3),
    "quality.after.mtld": ("MTLD", 1),
    "quality.after.hdd": ("HD-D", 3),
    "quality.after.self_bleu": ("self-BLEU (lower is more diverse)", 1),
}

Document = Mapping[str, Any]


def headline_table(verdict: Document) -> str:
    """Every benchmark and the headline metrics of both sides: means over the side's seeds."""
    a, b = verdict["a"]["label"], verdict["b"]["label"]
    rows = [[f"means of {_seeds(verdict)}", a, b, "change", "95 % interval", "verdict", "shown − blanked"]]
    for name, benchmark in verdict["benchmarks"].items():
        shown = benchmark["shown"]
        rows.append(
            [
                f"{title_of(name)}, %",
                _number(shown["a"], 1),
                _number(shown["b"], 1),
                _signed(shown["difference"], 1),
                _interval(shown, 1),
                benchmark["word"] or "not judged",
                _with_interval(benchmark["grounded"], 1),
            ]
        )
    for name, (label, decimals) in METRICS.items():
        metric = verdict["metrics"].get(name)
        if metric:
            change = _signed(metric["b"] - metric["a"], decimals)
            rows.append([label, _number(metric["a"], decimals), _number(metric["b"], decimals), change, "", "", ""])
    return markdown_table(rows)


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
                f"{shown['questions']:,}",
                f"{shown['images']:,}",
                _signed(shown["difference"], 2),
                _interval(shown, 2),
                _number(shown["degrees_of_freedom"], 1),
                _p(benchmark["p_holm"]),
                _number(shown["detectable"], 2),
                benchmark["word"] or "not judged",
            ]
        )
    settles = [f"- {title_of(name)}: {benchmark['settles']}" for name, benchmark in verdict["benchmarks"].items()]
    return "\n".join([markdown_table(rows), "", *settles])


def blank_table(verdict: Document) -> str:
    """Accuracy with the image and with the image blanked, both sides, and the grounded difference."""
    a, b = verdict["a"]["label"], verdict["b"]["label"]
    rows = [["%", a, f"{a}, blanked", b, f"{b}, blanked", "shown − blanked: difference", "95 % interval"]]
    for name, benchmark in verdict["benchmarks"].items():
        blank, grounded = verdict["metrics"][f"{name}.blank_accuracy"], benchmark["grounded"]
        rows.append(
            [
                title_of(name),
                _number(benchmark["shown"]["a"], 1),
                _number(blank["a"], 1),
                _number(benchmark["shown"]["b"], 1),
                _number(blank["b"], 1),
                _signed(grounded["difference"], 1),
                _interval(grounded, 1),
            ]
        )
    return markdown_table(rows)


def seeds_table(verdict: Document) -> str:
    """Accuracy of every run: how far the same recipe moves from seed to seed."""
    runs = [(side, number, run) for side in "ab" for number, run in enumerate(verdict[side]["runs"])]
    rows = [["accuracy, %", *(f"{verdict[side]['label']}, seed {run['seed']}" for side, _, run in runs)]]
    for name in verdict["benchmarks"]:
        metric = verdict["metrics"][f"{name}.accuracy"]
        rows.append([title_of(name), *(_number(metric[f"{side}_runs"][number], 1) for side, number, _ in runs)])
    return markdown_table(rows)


def fill(text: str, tables: Mapping[str, str], where: str | Path) -> str:
    """Put each table between its marks; what stands outside the marks stays.

    Raises:
        UserError: A mark names a table that does not exist.
    """

    def block(match: re.Match[str]) -> str:
        if match["name"] not in tables:
            raise UserError(f"{where}: expected a results table among {', '.join(tables)}, found {match['name']!r}")
        return f"{match[1]}{tables[match['name']]}\n{match[4]}"

    return _BLOCK.sub(block, text)


def all_tables(verdict: Document, simulation: Document) -> dict[str, str]:
    """Every table by the name that its marks use."""
    makers: dict[str, Callable[[Document], str]] = {
        "headline": headline_table,
        "verdict": verdict_table,
        "blanked": blank_table,
        "seeds": seeds_table,
    }
    return {name: make(verdict) for name, make in makers.items()} | {"simulation": simulation_table(simulation)}


def simulation_table(simulation: Document) -> str:
    """What the verdict does where the truth is known, as `recap.comparison.simulation` printed it."""
    outcomes = [Outcome(**{**row, "setting": Setting(**row["setting"])}) for row in simulation["settings"]]
    return simulated.table(outcomes)


def _seeds(verdict: Document) -> str:
    counts = sorted({len(verdict[side]["runs"]) for side in "ab"})
    return f"{' and '.join(map(str, counts))} {'seed' if counts == [1] else 'seeds'} a side"


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _signed(value: float, decimals: int) -> str:
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", "−") if rounded else f"{0:.{decimals}f}"


def _interval(found: Document, decimals: int) -> str:
    if found["low"] is None:
        return "none"
    return f"[{_signed(found['low'], decimals)}, {_signed(found['high'], decimals)}]"


def _with_interval(found: Document | None, decimals: int) -> str:
    return "" if found is None else f"{_signed(found['difference'], decimals)} {_interval(found, decimals)}"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.reporting.results", description=__doc__)
    parser.add_argument("--verdict", type=Path, default=VERDICT)
    parser.add_argument("--simulation", type=Path, default=SIMULATION)
    args = parser.parse_args()
    tables = all_tables(read_json(args.verdict), read_json(args.simulation))
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        new = fill(text, tables, path)
        print(f"{path}: {'unchanged' if new == text else 'written'}")
        write_text(path, new)


if __name__ == "__main__":
    run(main)

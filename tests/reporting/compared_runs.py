"""Two recipes to compare: finished runs whose answers differ in a known way, and the verdict on them as a document."""

import subprocess
from pathlib import Path
from typing import Any

from finished_runs import run_files, write_json, write_jsonl, write_run

from recap.io import read_json, read_jsonl
from recap.reporting.comparison.sides import ComparedRun
from recap.reporting.run import load_artifacts
from recap.reporting.working_tree import Changes

SEEDS = (42, 43, 44)
BENCHMARKS = ("textvqa", "mmbench", "gqa")
# Of twelve questions, those that a side answers: baseline loses three to blip2's five.
RIGHT = {"baseline": {0, 1, 2, 3, 4}, "blip2": {3, 4, 5, 6, 7, 8, 9}}
GAINED, LOST = {5, 6, 7, 8, 9}, {0, 1, 2}
# Questions that both sides answer with the image blanked.
BLANK = {3}


def write_compared_run(folder: Path, recipe: str, seed: int = 42) -> None:
    """A finished run whose score rows say who answered: its predictions are "<recipe> answers <key>"."""
    write_run(folder, recipe)
    scale_losses(folder, 2.0 if recipe == "baseline" else 1.0)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 42", f"seed: {seed}", 1))
    for benchmark in BENCHMARKS:
        path = folder / f"data/scores/{benchmark}.jsonl"
        rows = [_answered(row, recipe, benchmark) for row in read_jsonl(path)]
        write_jsonl(path, rows)
        values = read_json(folder / f"metrics/{benchmark}.json")
        values[benchmark] |= {
            "accuracy": 100 * _mean(rows, "score"),
            "blank_accuracy": 100 * _mean(rows, "blank_score"),
        }
        write_json(folder / f"metrics/{benchmark}.json", values)


def scale_losses(folder: Path, factor: float) -> None:
    """Make the losses of a run those of another text, so that two runs' curves are told apart."""
    for path in (folder / "plots").glob("*/loss.tsv"):
        head, *rows = path.read_text().splitlines()
        scaled = (f"{step}\t{float(value) * factor}" for step, value in (row.split("\t") for row in rows))
        path.write_text("\n".join([head, *scaled]) + "\n")


def _answered(row: dict[str, Any], recipe: str, benchmark: str) -> dict[str, Any]:
    number = int(row["key"])
    right = number in RIGHT[recipe]
    row |= {
        "score": float(right),
        "prediction": f"{recipe} answers {number}",
        "blank_score": float(number in BLANK),
        "groups": {"answer_type": "yes/no" if number % 2 else "other"},
        "unanswered": None,
    }
    if benchmark == "mmbench":
        letters = ("A", "B" if right else "C")
        row["rotations"] = [
            {"key": str(number), "prediction": letter, "extracted": letter, "answer": answer}
            for letter, answer in zip(letters, "AB", strict=True)
        ]
    return row


def _mean(rows: list[dict[str, Any]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def compared_run(folder: Path, name: str, seed: int, changes: Changes | None = None) -> ComparedRun:
    return ComparedRun(name, f"{seed:040x}", seed, load_artifacts(run_files(folder)), changes, [])


def document(*, seeds: tuple[int, ...] = (42,), commits: dict[str, str] | None = None) -> dict[str, Any]:
    """The verdict on the runs above; with three seeds a side it has words."""
    judged = len(seeds) >= 3
    return {
        "a": _side("baseline", seeds, commits or {}),
        "b": _side("blip2", seeds, commits or {}),
        "judged": judged,
        "not_judged_because": None if judged else "one seed a side: the recipe is not judged",
        "wiring_only": False,
        "incomparable": [],
        "params": {"recipe": {"a": "baseline", "b": "blip2"}},
        "code": ["recipes/blip2.yaml"],
        "metrics": {
            "process.kept_percent": {
                "a": 100.0, "b": 89.9583, "a_runs": [100.0] * len(seeds), "b_runs": [89.9583] * len(seeds),
            },
            "pretrain.loss_final": {
                "a": 0.7712,
                "b": 0.2319,
                "a_runs": [0.7712 + 0.01 * (seed - 43) * (len(seeds) > 1) for seed in seeds],
                "b_runs": [0.2319] * len(seeds),
            },
        },
        "confidence": 0.95,
        "level": 0.05,
        "benchmarks": {
            "textvqa": _benchmark(judged, "better", 16.67, (3.21, 30.12)),
            "mmbench": _benchmark(judged, "worse", -16.67, (-30.45, -2.89)),
            "gqa": _benchmark(judged, "can't tell", 16.67, None),
        },
    }  # fmt: skip


def _side(recipe: str, seeds: tuple[int, ...], commits: dict[str, str]) -> dict[str, Any]:
    names = {seed: recipe if seed == 42 else f"{recipe}-s{seed}" for seed in seeds}
    runs = [
        {"revision": name, "commit": commits.get(name, f"{seed:040x}"), "seed": seed} for seed, name in names.items()
    ]
    return {"label": recipe, "recipe": recipe, "runs": runs}


def _benchmark(judged: bool, word: str, difference: float, ends: tuple[float, float] | None) -> dict[str, Any]:
    told = judged and ends is not None
    low, high = ends or (None, None)
    shown = {
        "questions": 12, "images": 11, "changed_images": 8,
        "a": 41.67, "b": 41.67 + difference, "difference": difference,
        "low": low, "high": high, "no_interval": None if ends else "fewer than 10 images whose score changed",
        "interval_over": ("questions and seeds" if judged else "questions of these two runs") if ends else None,
        "standard_error": 5.87 if ends else None, "degrees_of_freedom": 7.4 if ends else None,
        "p": 0.0213 if ends else None, "detectable": 18.76 if told else None,
    }  # fmt: skip
    grounded = shown | {
        "a": 33.34,
        "b": 33.34 + difference + 1.01,
        "difference": difference + 1.01,
        "changed_images": 7,
        # Grounded differences get no word, so nothing that a word is taken from.
        "p": None,
        "detectable": None,
    }
    if ends:
        grounded |= {"low": low + 1.5, "high": high + 2.5, "standard_error": 6.43}
    return {
        "word": word if judged else None,
        "p_holm": 0.0426 if told else None,
        "shown": shown,
        "grounded": grounded,
        "flips": [
            {"group": "all", "type": "all", "questions": 12, "gained": 5.0, "lost": 3.0},
            {"group": "answer_type", "type": "other", "questions": 6, "gained": 2.0, "lost": 2.0},
            {"group": "answer_type", "type": "yes/no", "questions": 6, "gained": 3.0, "lost": 1.0},
        ],
        "settles": "5 seeds a side, or 640 questions, would settle 9.4 points",
    }


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Recap", "-c", "user.email=recap@example.invalid"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

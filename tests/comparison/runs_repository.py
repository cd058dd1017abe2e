"""Makes runs that can be compared: a real Git and DVC repository, one branch a run."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from ruamel.yaml import YAML

IDENTITY = ["-c", "user.name=Recap", "-c", "user.email=recap@example.invalid"]
# Chance that a question is answered, per benchmark: TextVQA as the embedded world's two recipes answer it.
SKILL = {
    "baseline": {"textvqa": 0.4, "mmbench": 0.5, "gqa": 0.4},
    "blip2": {"textvqa": 0.72, "mmbench": 0.2, "gqa": 0.42},
}
BLANK = 0.1
MODELS = ("captioner", "aligner", "language_model", "vision_tower", "vision_tower_aux", "start")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *IDENTITY, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def score_rows(recipe: str, benchmark: str, seed: int, *, count: int = 200) -> list[dict]:
    """Two questions an image. Both recipes find the same questions hard, so that scores are paired."""
    difficulty, luck = random.Random(benchmark), random.Random(f"{recipe} {benchmark} {seed}")
    rows = []
    for index in range(count):
        hard = difficulty.random()
        answered = hard + luck.uniform(-0.05, 0.05) < SKILL[recipe][benchmark]
        rows.append(
            {
                "key": f"q{index}",
                "image": f"i{index // 2}.jpg",
                "score": float(answered),
                "answers": ["red"],
                "blank_score": float(hard < BLANK),
                "groups": {"answer_type": "yes/no" if index % 4 else "other"},
            }
        )
    return rows


def lock(recipe: str, seed: int = 1) -> dict[str, Any]:
    """What DVC records of a run, as far as a comparison reads it."""

    def stage(*paths: str) -> dict[str, Any]:
        return {"cmd": "true", "deps": [{"path": path, "hash": "md5", "md5": f"md5 of {path}"} for path in paths]}

    return {
        "schema": "2.0",
        "stages": {
            "caption": stage("data/corpus", "models/captioner"),
            "align@blip2": stage("data/corpus", "models/aligner"),
            "process": stage("data/corpus", f"recipes/{recipe}.yaml"),
            "pretrain": stage("data/corpus", *(f"models/{name}" for name in MODELS[2:])),
            "finetune": stage("data/finetune"),
            "merge": {"cmd": "true", "outs": [{"path": "models/merged", "md5": f"model of {recipe} {seed}"}]},
            **{f"answer@{name}": stage(f"data/benchmarks/{name}", "models/merged") for name in SKILL[recipe]},
        },
    }


def write_run(folder: Path, recipe: str, seed: int) -> None:
    params = {
        "recipe": recipe,
        "seed": seed,
        "lora": {"r": 16},
        "benchmarks": {name: name for name in SKILL[recipe]},
        "machine": {"workers": seed},
        "models": {name: {"path": f"models/{name}"} for name in MODELS},
    }
    write_yaml(folder / "params.yaml", params)
    write_yaml(folder / "dvc.lock", lock(recipe, seed))
    write_json(folder / "data/details/check.json", {"check": {"wiring_only": False}})
    for benchmark in SKILL[recipe]:
        rows = score_rows(recipe, benchmark, seed)
        path = folder / "data/scores" / f"{benchmark}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        accuracy = 100 * sum(row["score"] for row in rows) / len(rows)
        write_json(folder / f"metrics/{benchmark}.json", {benchmark: {"accuracy": accuracy}})
        details = {"convention": "mmf", "prompt_fingerprint": "f00d"}
        write_json(folder / f"data/details/{benchmark}.json", {benchmark: details})


def write_yaml(path: Path, value: Any) -> None:
    with path.open("w") as stream:
        YAML().dump(value, stream)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def commit_run(folder: Path, branch: str, recipe: str, seed: int) -> None:
    git(folder, "checkout", "-q", "-B", branch, "main")
    write_run(folder, recipe, seed)
    track(folder, *(folder / "data/scores").glob("*.jsonl"), *(folder / "data/details").glob("*.json"))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", branch)


def track(folder: Path, *outputs: Path) -> None:
    with Repo(str(folder)) as repo:
        repo.add([str(path) for path in sorted(outputs)])


def commit_edit(folder: Path, path: str, edit: Callable[[str], str]) -> None:
    """Edit one file of the run that is checked out and commit it, through DVC where it is an output."""
    target = folder / path
    text = target.read_text()
    assert edit(text) != text, f"{path}: the edit changes nothing"
    target.unlink()  # it may be a link into the cache
    target.write_text(edit(text))
    if path.startswith("data/"):
        track(folder, target)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "edit")

"""Makes runs that can be compared: a real Git and DVC repository, one branch a run."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from dvc.repo import Repo

IDENTITY = ["-c", "user.name=Recap", "-c", "user.email=recap@example.invalid"]
# Chance that a question is answered, per benchmark.
SKILL = {
    "baseline": {"textvqa": 0.3, "mmbench": 0.5, "gqa": 0.4},
    "blip2": {"textvqa": 0.6, "mmbench": 0.2, "gqa": 0.42},
}


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
        rows.append({"key": f"q{index}", "image": f"i{index // 2}.jpg", "score": float(answered), "answers": ["red"]})
    return rows


def write_run(folder: Path, recipe: str, seed: int) -> None:
    (folder / "params.yaml").write_text(f"recipe: {recipe}\nseed: {seed}\nlora: {{r: 16}}\n")
    for benchmark in SKILL[recipe]:
        rows = score_rows(recipe, benchmark, seed)
        path = folder / "data/scores" / f"{benchmark}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        accuracy = 100 * sum(row["score"] for row in rows) / len(rows)
        metrics = {benchmark: {"accuracy": accuracy, "prompt_fingerprint": "f00d"}}
        (folder / "metrics").mkdir(exist_ok=True)
        (folder / "metrics" / f"{benchmark}.json").write_text(json.dumps(metrics))


def commit_run(folder: Path, branch: str, recipe: str, seed: int) -> None:
    git(folder, "checkout", "-q", "-B", branch, "main")
    write_run(folder, recipe, seed)
    track_scores(folder)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", branch)


def track_scores(folder: Path) -> None:
    with Repo(str(folder)) as repo:
        repo.add([str(path) for path in sorted((folder / "data/scores").glob("*.jsonl"))])


def commit_edit(folder: Path, path: str, edit: Callable[[str], str]) -> None:
    """Edit one file of the run that is checked out and commit it, through DVC where it is an output."""
    target = folder / path
    text = target.read_text()
    target.unlink()  # it may be a link into the cache
    target.write_text(edit(text))
    if path.startswith("data/"):
        track_scores(folder)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "edit")

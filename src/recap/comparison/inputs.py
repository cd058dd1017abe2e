"""What a run was made from besides its recipe, and the model it made: the hashes that `dvc.lock` recorded."""

import hashlib
import json
from typing import Any

BASE_MODELS = ("language_model", "vision_tower", "vision_tower_aux", "start")
RECIPE_FILE = "recipe file"
# What two recipes must share besides the benchmarks. Captioner, aligner and the raw corpus are among it: a recipe is
# what one does with a corpus, and what another captioner writes of another corpus is no other recipe.
SHARED = (*(f"base model {name}" for name in BASE_MODELS), "captioner", "aligner", "raw corpus", "finetune set")


def benchmark_input(benchmark: str) -> str:
    """The name of a benchmark's questions and images among a run's inputs."""
    return f"benchmark {benchmark}"


def recorded_inputs(lock: dict[str, Any], params: dict[str, Any]) -> dict[str, str]:
    """Pick a run's inputs from the dependencies that its stages recorded.

    Args:
        lock: A parsed `dvc.lock`, or {}.
        params: Flat parameters; they say where models lie.

    Returns:
        {name: hash}: of `SHARED`, `RECIPE_FILE` and each benchmark, what is recorded. A folder's hash covers its files'
        names and bytes, images included.
    """
    stages: dict[str, Any] = lock.get("stages") or {}
    wanted = {f"base model {name}": ("pretrain", str(params.get(f"models.{name}.path"))) for name in BASE_MODELS}
    wanted["captioner"] = ("caption", str(params.get("models.captioner.path")))
    wanted["aligner"] = ("align@blip2", str(params.get("models.aligner.path")))
    wanted["raw corpus"] = ("process", "data/corpus")
    wanted["finetune set"] = ("finetune", "data/finetune")
    wanted[RECIPE_FILE] = ("process", "recipes")
    for stage in stages:
        verb, _, benchmark = stage.partition("@")
        if verb == "answer" and benchmark:
            wanted[benchmark_input(benchmark)] = (stage, "data/benchmarks")
    found = {what: _hash(stages.get(stage) or {}, folder) for what, (stage, folder) in wanted.items()}
    return {what: value for what, value in found.items() if value}


def merged_model(lock: dict[str, Any]) -> str | None:
    """The hash of the model that a run answered with; None where `dvc.lock`, parsed, or {}, has none."""
    outputs = ((lock.get("stages") or {}).get("merge") or {}).get("outs") or []
    return next((str(output["md5"]) for output in outputs if output["path"] == "models/merged"), None)


def _hash(stage: dict[str, Any], folder: str) -> str | None:
    """The hash of a dependency; of all that lie under `folder` together, where they are several."""
    hashes = {
        dependency["path"]: str(dependency.get("md5"))
        for dependency in stage.get("deps") or []
        if dependency["path"] == folder or dependency["path"].startswith(f"{folder}/")
    }
    if len(hashes) > 1:
        return hashlib.blake2b(json.dumps(sorted(hashes.items())).encode(), digest_size=16).hexdigest()
    return next(iter(hashes.values()), None)

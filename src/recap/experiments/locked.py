"""What the dvc.lock of an experiment says: what each stage depended on, and what a change makes stale."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from recap.experiments.git import file_at

Stages = dict[str, dict[str, Any]]


def locked_stages(commit: str) -> Stages:
    """The stages of a commit's dvc.lock by name; empty where it has none."""
    text = file_at(commit, "dvc.lock")
    return dict(YAML(typ="safe").load(text)["stages"]) if text else {}


def outer_dependencies(stages: Stages) -> Iterator[dict[str, Any]]:
    """The dependencies that no stage makes (code, recipes, models, the user's data), each path once."""
    made = _outputs(stages)
    seen = set()
    for stage in stages.values():
        for dependency in stage.get("deps", []):
            path = dependency["path"]
            if path not in seen and not any(_overlap(path, output) for output in made):
                seen.add(path)
                yield dependency


def stages_after(stages: Stages, param: str) -> list[str]:
    """The stages that read a parameter, and all that follow them."""
    stale = [name for name, stage in stages.items() if param in _params(stage)]
    while True:
        made = _outputs({name: stages[name] for name in stale})
        more = [
            name
            for name, stage in stages.items()
            if name not in stale and any(_overlap(dep["path"], out) for dep in stage.get("deps", []) for out in made)
        ]
        if not more:
            return stale
        stale += more


def output_digest(stages: Stages, path: str) -> str | None:
    """The MD5 of a stage's output file; None if no stage makes it."""
    for stage in stages.values():
        for output in stage.get("outs", []):
            if output["path"] == path:
                return str(output["md5"])
    return None


def _outputs(stages: Stages) -> list[str]:
    return [output["path"] for stage in stages.values() for output in stage.get("outs", [])]


def _params(stage: dict[str, Any]) -> list[str]:
    return [name for names in stage.get("params", {}).values() for name in names]


def _overlap(a: str, b: str) -> bool:
    return PurePosixPath(a).is_relative_to(b) or PurePosixPath(b).is_relative_to(a)

"""Whether an experiment is what running it again would give, judged by the experiment itself.

Its commit holds the parameters, the pipeline and, in dvc.lock, the hash of everything that its stages read. If
all of these are those of the workspace, nothing would run; no note of an earlier `make` is needed.
"""

from copy import deepcopy
from typing import Any

from ruamel.yaml import YAML

from recap.comparison.sides import is_machine
from recap.experiments.git import file_at
from recap.experiments.locked import Stages, locked_stages, outer_dependencies
from recap.experiments.refs import experiment_commit
from recap.experiments.running import Run
from recap.params import PARAMS_PATH, read_yaml

NOT_THERE = "not there yet"


def why_stale(run: Run, baseline: str) -> str | None:
    """Why a run has to be made (again), in a few words; None if its experiment is up to date.

    Args:
        run: The run, an experiment of the commit `baseline` if it was made.
        baseline: The full hash of the commit that is checked out.
    """
    commit = experiment_commit(baseline, run.name)
    if commit is None:
        return NOT_THERE
    wanted = {**read_yaml(PARAMS_PATH), "recipe": run.recipe, "seed": run.seed}
    had = _yaml_at(commit, str(PARAMS_PATH))
    other = sorted(key for key in wanted.keys() | had.keys() if wanted.get(key) != had.get(key) and not is_machine(key))
    if other:
        return f"other parameters: {', '.join(other)}"
    if read_yaml("dvc.yaml")["stages"] != _yaml_at(commit, "dvc.yaml").get("stages"):
        return "another dvc.yaml"
    stages = locked_stages(commit)
    changed = _changed(stages)
    return f"changed since: {', '.join(changed)}" if changed else None


def _yaml_at(commit: str, path: str) -> dict[str, Any]:
    return YAML(typ="safe").load(file_at(commit, path) or "") or {}


def _changed(stages: Stages) -> list[str]:
    """What DVC would find changed among the files that no stage makes, and stages that never ran."""
    from dvc.dependency import loadd_from
    from dvc.repo import Repo

    with Repo() as repo:
        pipeline = [stage for stage in repo.index.stages if stage.path_in_repo == "dvc.yaml"]
        missing = [stage.addressing for stage in pipeline if stage.addressing not in stages]
        # A dependency belongs to a stage, which tells it where its relative path starts.
        found = loadd_from(pipeline[0], [deepcopy(entry) for entry in outer_dependencies(stages)])
        return missing + [str(dependency) for dependency in found if dependency.workspace_status()]

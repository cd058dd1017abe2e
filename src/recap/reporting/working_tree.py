"""How the code and parameters that ran differ from a commit, as Git knows it.

A run starts from a commit, and its working tree may hold more: edited code, and parameters that `dvc exp run -S` or a
hand set. Git cannot tell those two apart, so every parameter that differs is told with both values.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from recap.comparison.flattening import flatten
from recap.params import MACHINE, PARAMS_PATH, read_yaml
from recap.runtime.versions import CODE

# What names a run: an experiment sets them as a matter of course.
NAMING = ("recipe", "seed")


@dataclass(frozen=True)
class Changes:
    """What a run had that its commit has not.

    Attributes:
        base: The commit that the run started from.
        code: Files of code, recipes and pipeline that differ or are new.
        params: {"lora.r": (16, 8)}: the commit's value and the run's; None where there is none.
    """

    base: str
    code: list[str]
    params: dict[str, tuple[Any, Any]]

    @property
    def other_params(self) -> dict[str, tuple[Any, Any]]:
        """The parameters that differ, without those that name a run."""
        return {name: values for name, values in self.params.items() if name not in NAMING}


def uncommitted_changes(params: Path) -> Changes | None:
    """The working tree against its commit; None outside Git and before the first commit.

    Args:
        params: The run's parameter file, which is compared with the commit's params.yaml.
    """
    head = _git("rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None
    base = head.strip()
    new = (_git("ls-files", "--others", "--exclude-standard", "--", *CODE) or "").splitlines()
    return Changes(base, sorted([*_changed_code(base), *new]), _changed_params(base, flatten(read_yaml(params))))


def changes_of_experiment(commit: str) -> Changes | None:
    """An experiment against the commit that it started from; None for a commit that is no experiment."""
    refs = _git("for-each-ref", "--format=%(refname)", "--points-at", commit, "refs/exps") or ""
    # refs/exps/<first two digits of the base>/<the other 38>/<name>
    bases = [parts[2] + parts[3] for parts in (ref.split("/") for ref in refs.splitlines()) if len(parts) == 5]
    if not bases:
        return None
    return Changes(bases[0], _changed_code(bases[0], commit), _changed_params(bases[0], _params_at(commit)))


def _changed_code(*commits: str) -> list[str]:
    return (_git("diff", "--name-only", "--relative", *commits, "--", *CODE) or "").splitlines()


def _changed_params(base: str, params: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    committed = _params_at(base)
    names = sorted(name for name in committed.keys() | params.keys() if not name.startswith(f"{MACHINE}."))
    pairs = {name: (committed.get(name), params.get(name)) for name in names}
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new}


def _params_at(commit: str) -> dict[str, Any]:
    return flatten(YAML(typ="safe").load(_git("show", f"{commit}:./{PARAMS_PATH}") or "{}"))


def _git(*arguments: str) -> str | None:
    """What `git` prints; None where there is no Git, no repository or no such revision."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None

"""What a revision holds: its parameters, metrics, details and per-question scores, without checking it out.

In: an experiment name, branch, tag or commit (or `workspace`). Out: a `Revision`, read through DVC's file system:
files in Git from Git, DVC's outputs from the cache or, failing that, the default remote.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.scm import SCMError, resolve_rev
from fsspec import AbstractFileSystem
from ruamel.yaml import YAML

from recap.comparison.files import files_at
from recap.comparison.flattening import flatten
from recap.comparison.headline_metrics import benchmark_order
from recap.comparison.inputs import merged_model, recorded_inputs
from recap.comparison.scores import ScoredQuestion, parse_scores
from recap.runtime.errors import UserError
from recap.runtime.versions import CODE

WORKSPACE = "workspace"
SCORES = "data/scores"
DETAILS = "data/details"
LOCK = "dvc.lock"


@dataclass(frozen=True)
class Revision:
    """One run as it was committed.

    Attributes:
        name: As it was asked for.
        commit: The full hash, or None for the workspace.
        params: Flat: {"lora.r": 16}.
        metrics: Flat: {"textvqa.accuracy": 31.2}.
        details: Flat, what is no metric: {"textvqa.convention": "mmf"}.
        inputs: Hashes of what the run was made from, as `dvc.lock` recorded them; see `recap.comparison.inputs`.
        model: The hash of its merged model, or None where `dvc.lock` has none.
        scores: {benchmark: {key: question}}.
    """

    name: str
    commit: str | None
    params: dict[str, Any]
    metrics: dict[str, Any]
    details: dict[str, Any]
    inputs: dict[str, str]
    model: str | None
    scores: dict[str, dict[str, ScoredQuestion]]

    @property
    def recipe(self) -> str:
        return str(self.params.get("recipe"))

    @property
    def seed(self) -> Any:
        return self.params.get("seed")

    @property
    def short(self) -> str:
        return self.commit[:7] if self.commit else WORKSPACE


def read_revision(name: str) -> Revision:
    """Read everything a comparison needs from one revision.

    Raises:
        UserError: No such revision, no parameters in it, or its scores are neither in the cache nor in a remote.
    """
    commit = _commit(name)
    files = files_at(commit)
    if not files.exists("params.yaml"):
        raise UserError(f"{name}: expected a params.yaml in this revision, found none; is it a revision of a run?")
    params = flatten(YAML(typ="safe").load(_read(files, "params.yaml", name)))
    lock = YAML(typ="safe").load(_read(files, LOCK, name)) if files.exists(LOCK) else {}
    benchmarks = {PurePosixPath(path).stem: path for path in files.glob(f"{SCORES}/*.jsonl")}
    scores = {
        benchmark: parse_scores(_read(files, benchmarks[benchmark], name), f"{name}:{SCORES}/{benchmark}.jsonl")
        for benchmark in sorted(benchmarks, key=benchmark_order)
    }
    if not scores:
        raise UserError(f"{name}: expected {SCORES}/<benchmark>.jsonl, found none; run the experiment to its end first")
    return Revision(
        name=name,
        commit=commit,
        params=params,
        metrics=_read_all(files, "metrics", name),
        details=_read_all(files, DETAILS, name),
        inputs=recorded_inputs(lock, params),
        model=merged_model(lock),
        scores=scores,
    )


def _read_all(files: AbstractFileSystem, folder: str, name: str) -> dict[str, Any]:
    """Every JSON file of a folder, {subject: {...}} each, flat."""
    values: dict[str, Any] = {}
    for path in sorted(files.glob(f"{folder}/*.json")):
        values |= json.loads(_read(files, path, name))
    return flatten(values)


def _read(files: AbstractFileSystem, path: str, name: str) -> str:
    try:
        with files.open(path, mode="rb") as stream:
            content: bytes = stream.read()
    except (FileNotFoundError, DvcException):
        raise UserError(
            f"{name}: expected {path} in DVC's cache or a remote, found it in neither; `dvc fetch -r <remote> {path}` "
            f"on a checkout of {name} gets it from a remote, `dvc repro` there makes it again"
        ) from None
    return content.decode("utf-8")


def _commit(name: str) -> str | None:
    """The commit that a name stands for; None for the workspace."""
    try:
        with Repo() as repo:
            return None if name == WORKSPACE else str(resolve_rev(repo.scm, name))
    except NotDvcRepoError:
        raise UserError("expected to run inside a DVC project, found none here; change to the project's root") from None
    except SCMError as error:
        if "ambiguous" in str(error):
            raise UserError(
                f"{name}: expected one experiment of that name on the commit that is checked out, found several on "
                "other commits; check that commit out, or give the experiment's hash (`dvc exp list -A --sha-only`)"
            ) from None
        raise UserError(
            f"{name}: expected an experiment, branch, tag or commit, found none of that name; `dvc exp list -A` and "
            "`git branch` list them, `dvc exp pull <remote> <name>` fetches an experiment"
        ) from None


def changed_code(revisions: list[Revision]) -> list[str]:
    """Files of code, recipes and pipeline in which any revision differs from the first, as Git sees them."""
    first, *others = (revision.commit for revision in revisions)
    changed: set[str] = set()
    for other in others:
        # The workspace has no commit: Git then compares the one that is given with the files as they are.
        commits = [commit for commit in (first, other) if commit]
        if commits and first != other:
            command = ["git", "diff", "--name-only", "--relative", *commits, "--", *CODE]
            changed |= set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1])
    return sorted(changed)

"""What a revision holds: its parameters, metrics and per-question scores, without checking it out.

In: an experiment name, branch, tag or commit (or `workspace`). Out: a `Revision`, read through DVC's file system:
files in Git from Git, DVC's outputs from the cache or, failing that, the default remote.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.scm import SCMError, resolve_rev
from ruamel.yaml import YAML

from recap.comparison.flattening import flatten
from recap.comparison.scores import Question, parse_scores
from recap.data.benchmarks.registry import BENCHMARKS
from recap.runtime.errors import UserError

WORKSPACE = "workspace"
SCORES = "data/scores"
# What a run is made of besides its parameters and its data.
CODE = ("src", "stages", "recipes", "configs", "dvc.yaml", "requirements.txt")


@dataclass(frozen=True)
class Revision:
    """One run as it was committed.

    `commit` is the full hash, or None for the workspace; `params` and `metrics` are flat: {"lora.r": 16},
    {"textvqa.accuracy": 31.2}.
    """

    name: str
    commit: str | None
    params: dict[str, Any]
    metrics: dict[str, Any]
    scores: dict[str, dict[str, Question]]


def read_revision(name: str) -> Revision:
    """Read everything a comparison needs from one revision.

    Raises:
        UserError: No such revision, no parameters in it, or its scores are neither in the cache nor in a remote.
    """
    commit = _commit(name)
    files = DVCFileSystem(rev=commit)
    if not files.exists("params.yaml"):
        raise UserError(f"{name}: expected a params.yaml in this revision, found none; is it a revision of a run?")
    params = YAML(typ="safe").load(_read(files, "params.yaml", name))
    metrics: dict[str, Any] = {}
    for path in sorted(files.glob("metrics/*.json")):
        metrics |= json.loads(_read(files, path, name))
    benchmarks = {PurePosixPath(path).stem: path for path in files.glob(f"{SCORES}/*.jsonl")}
    scores = {
        benchmark: parse_scores(_read(files, benchmarks[benchmark], name), f"{name}:{SCORES}/{benchmark}.jsonl")
        for benchmark in sorted(benchmarks, key=_benchmark_order)
    }
    if not scores:
        raise UserError(f"{name}: expected {SCORES}/<benchmark>.jsonl, found none; run the experiment to its end first")
    return Revision(name, commit, flatten(params), flatten(metrics), scores)


def _read(files: DVCFileSystem, path: str, name: str) -> str:
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
    except SCMError:
        raise UserError(
            f"{name}: expected an experiment, branch, tag or commit, found none of that name; `dvc exp list -A` and "
            "`git branch` list them, `dvc exp pull <remote> <name>` fetches an experiment"
        ) from None


def _benchmark_order(name: str) -> tuple[int, str]:
    return (list(BENCHMARKS).index(name) if name in BENCHMARKS else len(BENCHMARKS), name)


def changed_code(a: Revision, b: Revision) -> list[str]:
    """Files of code, recipes and pipeline that differ between two revisions, as Git sees them."""
    commits = [revision.commit or "" for revision in (a, b)]
    if not all(commits):
        # The workspace: compare the other side with the files as they are.
        commits = [commit for commit in commits if commit]
    command = ["git", "diff", "--name-only", *commits, "--", *CODE]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]

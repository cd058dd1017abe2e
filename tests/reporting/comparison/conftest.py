"""A repository that holds finished runs of two recipes."""

import subprocess
from pathlib import Path

import pytest
from compared_runs import git, write_compared_run
from dvc.repo import Repo

OUTPUTS = (
    *("data/corpus", "data/benchmarks", "data/captions.jsonl"),
    *("data/processed/train.jsonl", "data/processed/trace"),
)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Git and DVC repository: the branch `baseline`, and `blip2` as an experiment that started from it."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "-qb", "main")
    Repo.init(str(folder)).close()
    (folder / "src").mkdir()
    (folder / "src/model.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "empty")
    base = _commit_run(folder, "baseline")
    (folder / "src/model.py").write_text("x = 2\n")
    experiment = _commit_run(folder, "blip2")
    git(folder, "branch", "baseline", base)
    git(folder, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/blip2", experiment)
    return folder


def _commit_run(folder: Path, recipe: str) -> str:
    git(folder, "rm", "-rq", "--ignore-unmatch", "metrics", "plots")
    subprocess.run(["rm", "-rf", "data"], cwd=folder, check=True)
    write_compared_run(folder, recipe)
    with Repo(str(folder)) as repo:
        scores = [str(path.relative_to(folder)) for path in sorted((folder / "data/scores").iterdir())]
        details = [str(path.relative_to(folder)) for path in sorted((folder / "data/details").iterdir())]
        repo.add([str(folder / path) for path in (*OUTPUTS, *scores, *details) if (folder / path).exists()])
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", recipe)
    return git(folder, "rev-parse", "HEAD")

"""A repository with two recipes: the branches `baseline` and `blip2` (checked out), and a second seed of both."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from runs_repository import commit_run, git


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    git(folder, "init", "-qb", "main")
    Repo.init(str(folder)).close()
    (folder / "src").mkdir()
    (folder / "src/model.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "empty")
    for branch, recipe, seed in [
        ("baseline", "baseline", 1),
        ("baseline-s2", "baseline", 2),
        ("blip2-s2", "blip2", 2),
        ("blip2", "blip2", 1),
    ]:
        commit_run(folder, branch, recipe, seed)
    git(folder, "tag", "headline", "blip2")
    return folder

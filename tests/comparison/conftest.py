"""A repository with two recipes, three seeds each: `baseline` (seed 1), `baseline-s2`, ... `blip2` (checked out)."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from runs_repository import commit_run, git


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    git(folder, "init", "-qb", "main", "--template=")
    Repo.init(str(folder)).close()
    (folder / "src").mkdir()
    (folder / "src/model.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "empty")
    for recipe in ("baseline", "blip2"):
        for seed in (3, 2, 1):
            commit_run(folder, recipe if seed == 1 else f"{recipe}-s{seed}", recipe, seed)
    git(folder, "tag", "headline", "blip2")
    git(folder, "repack", "-adq")  # tests copy it, and one file is quicker than hundreds
    return folder

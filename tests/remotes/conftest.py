"""A small project whose two experiments have run and whose remote is a folder that servers stand before."""

from pathlib import Path

import pytest

from tests.experiments.stub_project import Project
from tests.remotes.small import make_remote


@pytest.fixture(scope="session")
def author_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("author")
    project = Project.create(folder)
    # A file that a push takes some time over.
    project.edit(
        "train.sh", "cat code/model.py", 'yes "$1 $2" | head -c 3000000 > models/merged/large\ncat code/model.py'
    )
    make_remote(project, "/nowhere/yet")
    project.commit("where artifacts lie")
    project.make()
    return project


@pytest.fixture
def author(author_once: Project, tmp_path: Path) -> Project:
    """A copy of the author's project, with a bare Git remote of its own."""
    (tmp_path / "author").mkdir()
    project = author_once.copy(tmp_path / "author")
    project.git("init", "-q", "--bare", "-b", "main", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    return project

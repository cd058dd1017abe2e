"""A small project whose two experiments have run and whose remote is a folder that servers stand before."""

from pathlib import Path

import pytest

from tests.experiments.stub_project import Project
from tests.remotes.small import copy_with_origin, make_remote


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
    return copy_with_origin(author_once, tmp_path)

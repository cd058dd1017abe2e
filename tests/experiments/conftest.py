"""A project whose two experiments have run, and one on which nothing has."""

from pathlib import Path

import pytest

from tests.experiments.stub_project import Project


@pytest.fixture(scope="session")
def fresh_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.create(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="session")
def made_project(fresh_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = fresh_project.copy(tmp_path_factory.mktemp("made"))
    project.make()
    assert project.trained() == ["baseline 42", "blip2 42"]
    return project


@pytest.fixture
def fresh(fresh_project: Project, tmp_path: Path) -> Project:
    return fresh_project.copy(tmp_path)


@pytest.fixture
def made(made_project: Project, tmp_path: Path) -> Project:
    return made_project.copy(tmp_path)

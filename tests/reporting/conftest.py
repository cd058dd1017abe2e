"""Finished runs for the tests of the report."""

import shutil
from pathlib import Path

import pytest
from finished_runs import run_files, write_run

from recap.reporting.run import RunFiles


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return write_run(tmp_path_factory.mktemp("blip2"))


@pytest.fixture
def spoilt_run(finished_run: RunFiles, tmp_path: Path) -> RunFiles:
    """A copy that a test may take files from."""
    return run_files(shutil.copytree(finished_run.params.parent, tmp_path / "run"))

"""Finished runs for the tests of the report."""

import shutil
from pathlib import Path

import pytest
from compared_runs import SEEDS, compared_run, write_compared_run
from finished_runs import run_files, write_run

from recap.reporting.comparison.sides import ComparedRun
from recap.reporting.run import RunFiles


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return write_run(tmp_path_factory.mktemp("blip2"))


@pytest.fixture
def spoilt_run(finished_run: RunFiles, tmp_path: Path) -> RunFiles:
    """A copy that a test may take files from."""
    return run_files(shutil.copytree(finished_run.params.parent, tmp_path / "run"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[ComparedRun]]:
    """Three seeds of each recipe; the seeds answer alike."""
    found = {}
    for recipe in ("baseline", "blip2"):
        folder = tmp_path_factory.mktemp(recipe)
        write_compared_run(folder, recipe)
        names = [recipe if seed == 42 else f"{recipe}-s{seed}" for seed in SEEDS]
        found[recipe] = [compared_run(folder, name, seed) for name, seed in zip(names, SEEDS, strict=True)]
    return found

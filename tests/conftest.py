"""Fixtures that every test may use."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.unprivileged import writes_read_only_files

# Tiny benchmark folders, for whoever reads benchmarks.
pytest_plugins = ["tests.benchmark_folders"]

ROOT = Path(__file__).parent.parent

# Processes that share the cores must not each start a thread per core: that takes three times as long.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Properties are about results; how long one example takes depends on what else the machine does.
settings.register_profile("recap", deadline=None)
settings.load_profile("recap")


def pytest_sessionstart() -> None:
    """Nothing is to be collected while test modules import what they need."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What they imported stays: the Trainer collects garbage after every run, and would go through all of it."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def same_answer_to_sigterm() -> Iterator[None]:
    """Nobody leaves a handler: a pool whose forked workers inherit one that does not end them waits for ever."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference outputs beside the project; a plain clone has none, and says so."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the reference outputs of {folder}, which this clone does not have")
    return folder


@pytest.fixture(scope="session")
def assets() -> Path:
    return ROOT / "tests" / "assets"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def unprivileged() -> None:
    """Skips a test where root cannot be made to obey file modes."""
    if writes_read_only_files():
        pytest.skip("needs a user other than root, or the right to drop capabilities: here 0444 files can be written")

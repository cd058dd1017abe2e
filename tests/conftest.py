"""Fixtures that every test may use."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one finished run stay with one worker (`--dist loadgroup`), which makes that run once."""
    for item in items:
        if "finished" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("finished"))


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

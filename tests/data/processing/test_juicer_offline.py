"""Data-Juicer neither installs, nor downloads, nor changes Pillow's settings, nor writes to a home folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import ImageFile

from recap.data.processing.building import Supplied, build_operators
from recap.data.processing.recipe import Operator, Recipe
from recap.runtime.errors import UserError


def build(name: str, folder: Path, **arguments: object) -> None:
    build_operators(Recipe("test", [Operator(name, name, arguments)]), Supplied(str(folder / "captions.jsonl")))


def test_truncated_images_stay_errors() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_missing_package_is_an_error(folder: Path) -> None:
    from data_juicer.utils.lazy_loader import LazyLoader

    with pytest.raises(UserError, match=r"needs the Python package 'no-such-package'.*installs nothing"):
        LazyLoader("no_such_module", "no-such-package").anything  # noqa: B018


def test_missing_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import wget
    from data_juicer.utils import model_utils

    with pytest.raises(UserError, match=r"needs the model 'lid\.176\.bin'.*downloads nothing"):
        model_utils.check_model("lid.176.bin", force=True)
    with pytest.raises(UserError, match=r"wants to download https://example\.org/model"):
        wget.download("https://example.org/model", "somewhere")


@pytest.mark.slow
def test_import_leaves_no_trace(tmp_path: Path, root: Path) -> None:
    code = """
import importlib.util, subprocess
subprocess.check_call = subprocess.run = lambda *a, **k: (_ for _ in ()).throw(SystemExit(f"ran {a}"))
ray = importlib.util.find_spec("ray")
import recap.data.processing.runner
assert importlib.util.find_spec("ray") == ray
"""
    environment = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []

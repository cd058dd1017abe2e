"""The stage that proves, before anything dear, that a run can go through: on sound inputs, and on kinds of faults."""

import json
import logging
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from recap.data.sources.embedded import write_benchmark, write_finetune
from recap.params import read_yaml, validate
from recap.runtime.errors import UserError
from recap.world.settings import WorldSettings


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> Path:
    """The tiny models, the hamlet's finetune set and one of its benchmarks, and parameters that name them."""
    world = validate(WorldSettings, read_yaml(root / "worlds/hamlet/world.yaml"), root)
    for name in ("finetune", "benchmarks/gqa", "details"):
        (tmp_path / name).mkdir(parents=True)
    write_finetune(world, tmp_path / "finetune")
    write_benchmark("gqa", world, tmp_path / "benchmarks" / "gqa")
    shutil.copytree(root / "models" / "tiny", tmp_path / "models")
    shutil.copytree(root / "configs" / "start", tmp_path / "start")
    prepared = {"prepare": {"sources": {"corpus": "embedded", "finetune": "embedded"}}}
    (tmp_path / "details" / "prepare.json").write_text(json.dumps(prepared))
    params = read_yaml(root / "params.yaml")
    params["benchmarks"] = {"gqa": "gqa"}
    YAML(typ="safe").dump(params, tmp_path / "params.yaml")
    return tmp_path


FLAGS = (
    "--prepared details/prepare.json --captioner models/captioner --aligner models/aligner --start-from start/parts "
    "--language-model models/language_model --vision-tower models/vision_tower "
    "--vision-tower-aux models/vision_tower_aux --finetune finetune --benchmarks benchmarks "
    "--checks checks.json --details details/check.json --timing timing.json"
)


def check(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "stages" / "check.py"), *FLAGS.split()], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def check_here(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The stage in this process, which need not load PyTorch again."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["check.py", *FLAGS.split()])
    return runpy.run_path(str(root / "stages" / "check.py"))["main"]


def test_what_is_sound_is_always_the_same_file(
    folder: Path, check_here: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    check_here()
    assert "sound: captioner, aligner, model, finetune rows, benchmarks" in caplog.text and "warning" not in caplog.text
    first = (folder / "checks.json").read_bytes()
    conversations = json.loads((folder / "finetune" / "train.json").read_text())
    (folder / "finetune" / "train.json").write_text(json.dumps(conversations[:20]))
    prepared = {"prepare": {"sources": {"corpus": "user", "finetune": "embedded"}}}
    (folder / "details" / "prepare.json").write_text(json.dumps(prepared))
    (folder / "checks.json").unlink()
    check_here()
    assert (folder / "checks.json").read_bytes() == first
    details = json.loads((folder / "details" / "check.json").read_text())
    assert details == {"check": {"wiring_only": False, "finetune": {"rows": 20, "left_out": 0}}}


def _truncated(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        file = folder / "models" / name / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-1000])

    return spoil


def _config(name: str, **changes: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        file = folder / "models" / name / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return spoil


def _without_tokenizer(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        for file in (folder / "models" / name).glob("tokenizer*"):
            file.unlink()

    return spoil


def _long_rows(folder: Path) -> None:
    params = read_yaml(folder / "params.yaml")
    params["mgm"]["max_length"] = 30
    YAML(typ="safe").dump(params, folder / "params.yaml")


def _lost_questions(folder: Path) -> None:
    next((folder / "benchmarks" / "gqa").glob("*.json")).unlink()


def _unknown_layers(folder: Path) -> None:
    params = read_yaml(folder / "params.yaml")
    params["lora"]["target_modules"] = ["q_projection"]
    YAML(typ="safe").dump(params, folder / "params.yaml")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_truncated("captioner"), "models/captioner: expected a captioner that can be loaded"),
        (_config("captioner", model_type="llama"), "expected a model that writes text about an image"),
        (_truncated("aligner"), "models/aligner/model.safetensors: expected whole weights"),
        (_config("aligner", model_type="bert"), "models/aligner: expected a CLIP"),
        (_without_tokenizer("aligner"), "models/aligner: expected the tokenizer of the aligner"),
        (_truncated("language_model"), "expected a model to train that can be loaded"),
        (_config("language_model", hidden_size=24), "expected a model to train that can be loaded"),
        (_config("vision_tower", model_type="bert"), "expected a model of type clip"),
        (_without_tokenizer("language_model"), "expected"),
        (_without_tokenizer("captioner"), "expected"),
        (_unknown_layers, "q_projection"),
        (_long_rows, "nothing_to_learn"),
        (_lost_questions, "gqa"),
    ],
)
def test_what_is_not_sound_stops_the_run(
    folder: Path, check_here: Callable[[], None], spoil: Callable[[Path], object], told: str
) -> None:
    spoil(folder)
    with pytest.raises(UserError) as stopped:
        check_here()
    assert told in str(stopped.value) and "\n" not in str(stopped.value)
    assert not (folder / "checks.json").exists()


@pytest.mark.slow
def test_what_is_not_sound_is_one_line(root: Path, folder: Path) -> None:
    _truncated("captioner")(folder)
    done = check(root, folder)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "models/captioner: expected a captioner that can be loaded" in line
    assert not (folder / "checks.json").exists()

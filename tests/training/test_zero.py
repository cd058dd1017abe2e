"""DeepSpeed's configurations: what of them is ours to say."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from recap.runtime.errors import UserError
from recap.training.zero import EXTENSIONS, prepare_deepspeed, zero_config

from .conftest import ROOT

SHIPPED = sorted((ROOT / "configs" / "deepspeed").glob("*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_shipped_leaves_precision_to_the_parameters(path: Path) -> None:
    assert "torch_autocast" not in zero_config(path, torch.float32)
    computed = zero_config(path, torch.bfloat16)
    assert computed["torch_autocast"] == {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    assert computed["zero_optimization"]["stage"] == int(path.stem[4])


@pytest.mark.parametrize(
    ("config", "dtype", "message"),
    [
        ({"bf16": {"enabled": True}}, torch.bfloat16, r"zero\.json: expected no section bf16: device\.dtype says"),
        ({"fp16": {}, "torch_autocast": {}}, torch.float32, r"no section fp16, torch_autocast"),
        ([], torch.float32, r"zero\.json: expected a JSON object, found list"),
        ({"zero_optimization": {"stage": 7}}, torch.float32, r"stage: expected 0, 1, 2 or 3, found 7"),
        (
            {"zero_optimization": {}},
            torch.float16,
            r"device\.dtype: expected bfloat16 or float32 under DeepSpeed, found float16",
        ),
    ],
)
def test_what_would_round_what_trains_is_refused(tmp_path: Path, config: Any, dtype: torch.dtype, message: str) -> None:
    (tmp_path / "zero.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        zero_config(tmp_path / "zero.json", dtype)


def test_a_file_that_is_no_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text("{")
    with pytest.raises(UserError, match=r"zero\.json: expected a DeepSpeed configuration in JSON"):
        zero_config(tmp_path / "zero.json", torch.float32)


def test_a_folder_in_place_of_the_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found a folder"):
        zero_config(tmp_path, torch.float32)


def test_a_file_without_zero_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text('{"zero_optimisation": {"stage": 2}}')
    with pytest.raises(UserError, match=r"section zero_optimization, found \['zero_optimisation'\]"):
        zero_config(tmp_path / "zero.json", torch.float32)


def test_a_missing_deepspeed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recap.training.zero.find_spec", lambda _: None)
    with ExitStack() as holding, pytest.raises(UserError, match=r"machine\.deepspeed: .* pip install"):
        prepare_deepspeed(torch.device("cpu"), holding)


def test_locks_of_killed_compiles_go_but_not_those_of_the_users_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("deepspeed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    mine, ours = (tmp_path / folder / "cpu_adam" / "lock" for folder in ("mine", ".scratch/extensions"))
    for lock in (mine, ours):
        lock.parent.mkdir(parents=True)
        lock.touch()
    monkeypatch.setenv(EXTENSIONS, str(tmp_path / "mine"))
    with ExitStack() as holding:
        prepare_deepspeed(torch.device("cpu"), holding)
        assert mine.exists() and ours.exists()
        monkeypatch.delenv(EXTENSIONS)
        prepare_deepspeed(torch.device("cpu"), holding)
        assert mine.exists() and not ours.exists()
    monkeypatch.delenv(EXTENSIONS)

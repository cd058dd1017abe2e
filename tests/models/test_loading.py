"""Device, dtype and presence of a model."""

from pathlib import Path

import pytest
import torch

from recap.models.loading import pick_device, pick_dtype
from recap.models.presence import only_tests_wiring, require_model
from recap.runtime.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, available: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert pick_device("auto").type == expected


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cpu") == CPU
    assert pick_device("cuda:1").index == 1
    with pytest.raises(UserError, match="expected a CUDA device 'cuda:2', found 2"):
        pick_device("cuda:2")


def test_no_such_device() -> None:
    with pytest.raises(UserError, match="found 'gpu'"):
        pick_device("gpu")


@pytest.mark.parametrize(
    ("device", "supported", "expected"),
    [(CPU, True, torch.float32), (CUDA, False, torch.float32), (CUDA, True, torch.bfloat16)],
)
def test_auto_dtype(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, supported: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported)
    assert pick_dtype("auto", device) == expected


def test_dtypes_by_name() -> None:
    assert pick_dtype("bfloat16", CPU) == torch.bfloat16
    with pytest.raises(UserError, match="found 'bf16'"):
        pick_dtype("bf16", CPU)


def test_a_missing_model_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected the captioner .*run `make models`"):
        require_model(tmp_path / "nothing", "captioner")
    with pytest.raises(UserError, match="make models"):
        require_model(tmp_path, "captioner")


@pytest.mark.parametrize("name", ["config.json", "open_clip_config.json"])
def test_a_present_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    assert require_model(str(tmp_path), "captioner") == tmp_path


@pytest.mark.parametrize(
    ("models", "source_is_world", "expected"),
    [
        (["models/tiny/captioner", "models/hub/gemma"], False, True),
        (["models/hub/blip2", "./models/../models/tiny/language_model"], False, True),
        (["models/hub/blip2", "models/tiny-of-mine"], False, False),
        (["models/tiny/captioner"], True, False),
    ],
)
def test_the_bundled_models_on_own_data_only_test_the_wiring(
    models: list[str], source_is_world: bool, expected: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert only_tests_wiring(models, source_is_world=source_is_world) is expected
    assert only_tests_wiring([root / model for model in models], source_is_world=source_is_world) is expected

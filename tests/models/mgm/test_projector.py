"""The connectors alone, in our format and in the original's."""

import json
from pathlib import Path

import mgm_golden as golden
import pytest
import torch
from safetensors.torch import load_file, save_file

from recap.models.mgm.connectors import connector_parameters
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.projector import load_projector, save_projector
from recap.runtime.errors import UserError


@pytest.fixture
def trained(slice_of_reference: Path) -> MGMForConditionalGeneration:
    return golden.build(slice_of_reference)


def blank(folder: Path) -> MGMForConditionalGeneration:
    """The same model with connectors of zeros."""
    model = golden.build(folder)
    with torch.no_grad():
        for tensor in connector_parameters(model).values():
            tensor.zero_()
    return model


def same(one: MGMForConditionalGeneration, two: MGMForConditionalGeneration) -> bool:
    others = connector_parameters(two)
    return all(torch.equal(tensor, others[name]) for name, tensor in connector_parameters(one).items())


def test_round_trip(tmp_path: Path, trained: MGMForConditionalGeneration, slice_of_reference: Path) -> None:
    save_projector(trained, tmp_path / "projector")
    model = blank(slice_of_reference)
    load_projector(model, tmp_path / "projector")
    assert same(model, trained)
    assert len(load_file(tmp_path / "projector" / "projector.safetensors")) == 16
    shapes = json.loads((tmp_path / "projector" / "config.json").read_text())
    assert shapes["mm_projector.0.weight"] == [64, 32]


def test_twice_gives_the_same_bytes(tmp_path: Path, trained: MGMForConditionalGeneration) -> None:
    for _ in range(2):
        save_projector(trained, tmp_path / "again")
        save_projector(trained, tmp_path / "projector")
    for name in ("projector.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "projector" / name).read_bytes()


def test_the_models_dtype_stays(tmp_path: Path, trained: MGMForConditionalGeneration, slice_of_reference: Path) -> None:
    save_projector(trained.to(torch.bfloat16), tmp_path / "projector")
    model = blank(slice_of_reference)
    load_projector(model, tmp_path / "projector")
    assert {tensor.dtype for tensor in connector_parameters(model).values()} == {torch.float32}


def test_a_file_of_the_original(reference: Path, trained: MGMForConditionalGeneration) -> None:
    """It holds the towers too, and every name has a prefix."""
    model = blank(reference)
    load_projector(model, reference / "formats")
    stored = torch.load(reference / "formats" / "mm_projector.bin", weights_only=True)
    for name, tensor in connector_parameters(model).items():
        assert torch.equal(tensor, stored[f"model.{name}"])
    assert len(stored) > 16


@pytest.mark.parametrize("prefix", ["", "model.", "base_model.model.model."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_any_prefix(
    tmp_path: Path, trained: MGMForConditionalGeneration, slice_of_reference: Path, prefix: str, wrapped: bool
) -> None:
    tensors = {prefix + name: tensor for name, tensor in connector_parameters(trained).items()}
    torch.save({"model": tensors} if wrapped else tensors, tmp_path / "mm_projector.bin")
    model = blank(slice_of_reference)
    load_projector(model, tmp_path)
    assert same(model, trained)


def test_connectors_of_another_model(
    tmp_path: Path, trained: MGMForConditionalGeneration, slice_of_reference: Path
) -> None:
    tensors = {name: tensor.clone() for name, tensor in connector_parameters(trained).items()}
    tensors["mm_projector.4.bias"] = tensors.pop("mm_projector.2.bias")
    tensors["mm_projector.0.bias"] = torch.zeros(5)
    save_file(tensors, tmp_path / "projector.safetensors")
    model = blank(slice_of_reference)
    with pytest.raises(UserError) as raised:
        load_projector(model, tmp_path)
    for part in ("missing mm_projector.2.bias", "unexpected mm_projector.4.bias", "mm_projector.0.bias has shape [5]"):
        assert part in str(raised.value)
    assert same(model, blank(slice_of_reference))


def test_nothing_there(tmp_path: Path, trained: MGMForConditionalGeneration) -> None:
    with pytest.raises(UserError, match=r"expected projector\.safetensors or mm_projector\.bin, found neither"):
        load_projector(trained, tmp_path)


@pytest.mark.parametrize("name", ["projector.safetensors", "mm_projector.bin"])
def test_a_damaged_file(tmp_path: Path, trained: MGMForConditionalGeneration, name: str) -> None:
    (tmp_path / name).write_bytes(b"no tensors")
    with pytest.raises(UserError, match="expected tensors"):
        load_projector(trained, tmp_path)

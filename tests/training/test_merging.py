"""The merged folder is the adapter model, and every way in which it could be another one is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from recap.merging import merge as merge_module
from recap.merging.merge import check_files, merge_and_prove
from recap.merging.probes import pick_probes
from recap.models.mgm.build import build_mgm
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.params import LoraParams
from recap.runtime.errors import UserError
from recap.training.adapters import load_adapter
from recap.training.dataset import conversation_examples
from recap.training.lora import ADAPTER_WEIGHTS, add_lora, save_adapter
from recap.training.trainable import trained

from .conftest import IMAGE_SIZE_AUX, World, as_the_original, encoder_for, new_model

LORA = LoraParams(r=4, alpha=8, dropout=0.1, target_modules=["q_proj", "v_proj", "down_proj"])
CPU = torch.device("cpu")


def rebuild_of(world: World) -> Callable[[torch.dtype], MGMForConditionalGeneration]:
    """The same base model in another dtype, as the stage makes it."""

    def rebuild(dtype: torch.dtype) -> MGMForConditionalGeneration:
        torch.manual_seed(1)
        return build_mgm(*world.parts, image_size_aux=IMAGE_SIZE_AUX, dtype=dtype)[0]

    return rebuild


@pytest.fixture(scope="module")
def adapter(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes every tensor it may."""
    model, _ = new_model(world)
    wrapped = add_lora(model, LORA)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for _, parameter in trained(wrapped):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    folder = tmp_path_factory.mktemp("adapter")
    save_adapter(wrapped, folder)
    return folder


def prove(world: World, adapter: Path, merged: Path, **changes: Any) -> dict[str, Any]:
    model, processor = new_model(world)
    encoder = encoder_for(processor, world.images)
    probes = pick_probes(conversation_examples(world.conversations), 3, encoder, max_left_out=1.0)
    settings = {"dtype": torch.float32, "device": CPU, "tolerance": 1e-3, "rebuild": rebuild_of(world)}
    return merge_and_prove(model, probes, adapter=adapter, merged=merged, **(settings | changes))


def test_the_proof_of_a_good_merge(world: World, adapter: Path, tmp_path: Path) -> None:
    proof = prove(world, adapter, tmp_path / "merged")
    # 3 layers in each of 2 decoder layers, 2 matrices each.
    assert (proof["lora_tensors"], proof["connector_tensors"], proof["probes"]) == (12, 16, 3)
    assert proof["logit_difference_mean"] <= proof["logit_difference_max"] < 1e-3 < proof["adapter_effect_max"]
    assert proof["greedy_agreement_percent"] == 100.0
    # Bit for bit the same weights give the same logits, and float32 rounds nothing of a float32 model.
    assert proof["saved_difference_max"] == proof["logit_difference_max"]
    assert proof["rounding_difference_max"] == proof["rounding_difference_mean"] == 0
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    assert isinstance(model, MGMForConditionalGeneration)
    assert not [name for name, _ in model.named_parameters() if "lora" in name or "modules_to_save" in name]
    assert isinstance(AutoProcessor.from_pretrained(tmp_path / "merged"), MGMProcessor)
    assert (tmp_path / "merged" / "generation_config.json").is_file()


def test_the_originals_adapter_merges_into_the_same_bytes(world: World, adapter: Path, tmp_path: Path) -> None:
    as_the_original(adapter, tmp_path / "original")
    assert prove(world, tmp_path / "original", tmp_path / "a") == prove(world, adapter, tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_the_base_is_used_up_and_not_made_again_for_float32(world: World, adapter: Path, tmp_path: Path) -> None:
    model, processor = new_model(world)
    encoder = encoder_for(processor, world.images)
    probes = pick_probes(conversation_examples(world.conversations), 1, encoder, max_left_out=1.0)

    def rebuild(dtype: torch.dtype) -> MGMForConditionalGeneration:
        raise AssertionError("a second base model")

    merge_and_prove(
        model,
        probes,
        rebuild=rebuild,
        adapter=adapter,
        merged=tmp_path / "merged",
        dtype=torch.float32,
        device=CPU,
        tolerance=1e-3,
    )
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_merging_twice_gives_the_same_bytes(world: World, adapter: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        prove(world, adapter, tmp_path / name / "merged")
    files = sorted(file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(tmp_path / "b") for file in (tmp_path / "b").rglob("*") if file.is_file())
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert not [file for file in files if str(world.root).encode() in (tmp_path / "a" / file).read_bytes()]


def test_a_difference_above_the_tolerance_is_refused(world: World, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"within merge\.tolerance=1e-12 .* in float32, .*; it is not published"):
        prove(world, adapter, tmp_path / "merged", tolerance=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_saving_rounds_is_reported_beside_what_the_dtype_rounds(
    world: World, adapter: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    proof = prove(world, adapter, tmp_path / "merged", dtype=dtype)
    # The gate saw float32: rounding takes no part in it.
    assert proof["logit_difference_max"] < 1e-4 < proof["saved_difference_mean"] < proof["saved_difference_max"]
    assert proof["saved_difference_mean"] < 2 * proof["rounding_difference_mean"]
    assert proof["dtype"] == str(dtype).removeprefix("torch.")
    saved = load_file(tmp_path / "merged" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {dtype}


def test_saving_that_loses_more_than_the_dtype_explains_is_refused(
    world: World, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Had the adapter model lost nothing in bfloat16, what the saved one loses would be the merge's fault."""
    monkeypatch.setattr(merge_module, "ROUNDING_FACTOR", 0.0)
    with pytest.raises(UserError, match=r"saved in bfloat16 to lie within 0\.001 of the adapter model in the mean"):
        prove(world, adapter, tmp_path / "merged", dtype=torch.bfloat16)


def test_the_effect_of_the_adapter_is_from_its_base(world: World, adapter: Path, tmp_path: Path) -> None:
    """Probed with the adapter switched off, the model is the one without it, its connectors included."""
    base, processor = new_model(world)
    probe = next(
        iter(
            pick_probes(
                conversation_examples(world.conversations), 1, encoder_for(processor, world.images), max_left_out=1.0
            )
        )
    )
    del probe["labels"]
    with torch.no_grad():
        before = base.eval()(**probe).logits
        wrapped, _ = load_adapter(base, adapter)
        after = base(**probe).logits
        with wrapped.disable_adapter():
            assert torch.equal(base(**probe).logits, before)
    assert (
        prove(world, adapter, tmp_path / "merged")["adapter_effect_max"] >= (after - before).abs().max().item() - 1e-5
    )


@pytest.mark.parametrize("spoil", ["a bit", "a tensor less", "a tensor more", "another dtype"])
def test_files_that_are_not_the_model_are_found_out(world: World, tmp_path: Path, spoil: str) -> None:
    model, _ = new_model(world)
    model.save_pretrained(tmp_path)
    check_files(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "model.language_model.norm.weight"
    if spoil == "a bit":
        tensors[name][3] += 2**-23
    elif spoil == "a tensor less":
        del tensors[name]
    elif spoil == "a tensor more":
        tensors[f"{name}.lora"] = torch.ones(1)
    else:
        tensors[name] = tensors[name].double()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=rf"1 tensor\(s\) .* did not survive saving, first {name}"):
        check_files(model, tmp_path)


def test_an_adapter_that_does_nothing_is_refused(world: World, tmp_path: Path) -> None:
    model, _ = new_model(world)
    save_adapter(add_lora(model, LORA), tmp_path / "adapter")
    with pytest.raises(UserError, match="expected the adapter to change the base model's logits"):
        prove(world, tmp_path / "adapter", tmp_path / "merged")


def _drop_lora(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[next(name for name in sorted(tensors) if "lora_A" in name)]


def _drop_connector(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[next(name for name in sorted(tensors) if "mm_projector" in name)]


def _add_stranger(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.language_model.layers.7.self_attn.q_proj.lora_A.weight"] = torch.ones(4, 16)


@pytest.mark.parametrize("spoil", [_drop_lora, _drop_connector, _add_stranger])
def test_every_tensor_of_the_adapter_is_accounted_for(
    world: World, adapter: Path, tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], None]
) -> None:
    tensors = load_file(adapter / ADAPTER_WEIGHTS)
    spoil(tensors)
    (tmp_path / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    save_file(tensors, tmp_path / ADAPTER_WEIGHTS)
    with pytest.raises(UserError, match="does not fit the base model"):
        prove(world, tmp_path, tmp_path / "merged")


def test_a_missing_adapter_is_one_clear_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a PEFT folder.*run finetune"):
        prove(world, tmp_path / "adapter", tmp_path / "merged")

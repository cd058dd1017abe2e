"""A new model from three pretrained folders."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from mgm_folders import picture, write_openclip
from transformers import AutoModelForImageTextToText, ConvNextModel, GemmaForCausalLM

from recap.models.mgm.build import build_mgm
from recap.models.mgm.connectors import CONNECTORS, connector_parameters
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.runtime.errors import UserError


def build(root: Path, **changes: object) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
    folders = {"language_model": root / "gemma", "vision_tower": root / "clip", "vision_tower_aux": root / "convnext"}
    torch.manual_seed(1)
    return build_mgm(**(folders | {"image_size_aux": 64} | changes))


def test_every_part_is_the_pretrained_one(pretrained: Path) -> None:
    model, processor = build(pretrained)
    gemma = GemmaForCausalLM.from_pretrained(pretrained / "gemma").state_dict()
    assert torch.equal(model.lm_head.weight, gemma["lm_head.weight"])
    for name, tensor in model.model.language_model.state_dict().items():
        assert torch.equal(tensor, gemma[f"model.{name}"]), name
    aux = ConvNextModel.from_pretrained(pretrained / "convnext").state_dict()
    for name, tensor in model.model.vision_tower_aux.state_dict().items():
        assert torch.equal(tensor, aux[name]), name
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert {tensor.device.type for tensor in [*model.parameters(), *model.buffers()]} == {"cpu"}
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not any("vision_tower" in name for name in trainable)
    assert sum(any(connector in name for connector in CONNECTORS) for name in trainable) == 16
    assert (processor.num_image_tokens, processor.image_token_id) == (4, 279)  # <unused0>
    assert (processor.image_processor.image_size, processor.image_processor.image_size_aux) == (28, 64)
    assert model.config.vision_config_aux.drop_path_rate == 0.1


@pytest.mark.parametrize("aux", ["open_clip_pytorch_model.bin", "open_clip_model.safetensors"])
def test_vision_part_alone_and_openclip_give_the_same_model(tmp_path: Path, pretrained: Path, aux: str) -> None:
    write_openclip(tmp_path / "openclip", ConvNextModel.from_pretrained(pretrained / "convnext"), file=aux)
    one, _ = build(pretrained)
    two, _ = build(pretrained, vision_tower=pretrained / "clip_vision", vision_tower_aux=tmp_path / "openclip")
    assert one.state_dict().keys() == two.state_dict().keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name
    assert two.config.vision_config_aux.drop_path_rate == 0.1


def test_the_seed_decides_the_connectors(pretrained: Path) -> None:
    one, two = build(pretrained)[0], build(pretrained)[0]
    torch.manual_seed(2)
    three, _ = build_mgm(pretrained / "gemma", pretrained / "clip", pretrained / "convnext", image_size_aux=64)
    weights = [model.model.mm_projector[0].weight for model in (one, two, three)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("grid", "whole", "tokens"), [(1, False, 4), (2, True, 20), (2, False, 16)])
def test_it_answers_and_survives_saving(tmp_path: Path, pretrained: Path, grid: int, whole: bool, tokens: int) -> None:
    model, processor = build(pretrained, image_grid=grid, image_global=whole)
    model.eval()
    inputs = processor([processor.prompt("what is it?")], picture(), padding_side="left")
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == tokens
    options = {"do_sample": False, "max_new_tokens": 4}
    answer = model.generate(**inputs, **options)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert torch.equal(
        again.generate(
            **MGMProcessor.from_pretrained(tmp_path)([processor.prompt("what is it?")], picture(), padding_side="left"),
            **options,
        ),
        answer,
    )


def test_dtype(pretrained: Path) -> None:
    model, _ = build(pretrained, dtype=torch.bfloat16)
    connectors = list(map(id, connector_parameters(model).values()))
    assert {parameter.dtype for parameter in model.parameters() if id(parameter) in connectors} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters() if id(parameter) not in connectors} == {torch.bfloat16}
    assert model.dtype == torch.bfloat16


def test_an_unused_token_stands_for_images(pretrained: Path) -> None:
    model, processor = build(pretrained)
    assert model.config.image_token_id == processor.image_token_id
    assert processor.tokenizer.convert_ids_to_tokens(processor.image_token_id) == "<unused0>"
    inputs = processor(processor.prompt("hi"), picture())
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == 4
    assert inputs["input_ids"].min() >= 0 and inputs["input_ids"].max() < 320
    model(**inputs)


def test_a_tokenizer_without_unused_tokens(tmp_path: Path, pretrained: Path) -> None:
    shutil.copytree(pretrained / "gemma", tmp_path / "gemma")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = tmp_path / "gemma" / name
        path.write_text(path.read_text().replace("<unused", "<spare"))
    with pytest.raises(UserError, match=r"gemma: expected a token <unused0>, .*found none"):
        build(pretrained, language_model=tmp_path / "gemma")


def test_a_missing_folder(tmp_path: Path, pretrained: Path) -> None:
    with pytest.raises(UserError, match=r"expected the vision tower .* run `make models`"):
        build(pretrained, vision_tower=tmp_path)


def test_another_kind_of_model(pretrained: Path) -> None:
    with pytest.raises(UserError, match="expected a model of type gemma, found clip"):
        build(pretrained, language_model=pretrained / "clip")


def test_patches_that_cover_no_whole_number_of_positions(pretrained: Path) -> None:
    with pytest.raises(UserError, match=r"mgm\.image_size_aux: expected a multiple of 8 .*, found 60"):
        build(pretrained, image_size_aux=60)
    with pytest.raises(UserError, match="fewer than"):
        build(pretrained, image_size_aux=4)


def test_towers_that_see_different_pixels(tmp_path: Path, pretrained: Path) -> None:
    shutil.copytree(pretrained / "convnext", tmp_path / "convnext")
    config = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (tmp_path / "convnext" / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="both towers see the same pixels"):
        build(pretrained, vision_tower_aux=tmp_path / "convnext")


def test_clips_own_normalisation_is_used(tmp_path: Path, pretrained: Path) -> None:
    shutil.copytree(pretrained / "clip", tmp_path / "clip")
    config = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}
    (tmp_path / "clip" / "preprocessor_config.json").write_text(json.dumps(config))
    _, processor = build(pretrained, vision_tower=tmp_path / "clip")
    assert processor.image_processor.image_mean == [0.5, 0.4, 0.3]


def test_weights_that_lack_a_tensor(tmp_path: Path, pretrained: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(pretrained / "convnext", tmp_path / "convnext")
    weights = load_file(tmp_path / "convnext" / "model.safetensors")
    del weights["encoder.stages.2.layers.0.pwconv1.weight"]
    save_file(weights, tmp_path / "convnext" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"weights lack encoder\.stages\.2\.layers\.0\.pwconv1\.weight"):
        build(pretrained, vision_tower_aux=tmp_path / "convnext")

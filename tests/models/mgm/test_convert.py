"""Published checkpoints: every layout they come in, and that nothing is missing or left over."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mgm_golden as golden
import pytest
import torch
from mgm_folders import write_openclip
from safetensors.torch import save_file
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
)

from recap.models.mgm.checkpoint import clip_config_of, convnext_config_of, read_tensors, read_weights
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.convert import convert, load_original, main
from recap.models.mgm.weight_names import mgm_name
from recap.runtime.errors import UserError

NAME = "c_batch2_loss"
CLIP = "model.vision_tower.vision_tower.vision_model."
AUX = "model.vision_tower_aux."
ZOO = Path("model_zoo/OpenAI")


def original_config(source: Path, **changes: Any) -> dict[str, Any]:
    """config.json as the original writes it for these weights."""
    gemma = golden.read(source, "config.json")["gemma"]
    extras = {
        "model_type": "mgm_gemma",
        "architectures": ["MGMGemmaForCausalLM"],
        "mm_vision_tower": str(ZOO / "clip-vit-tiny"),
        "mm_vision_tower_aux": str(ZOO / "openclip-convnext-large-d-320-tiny"),
        "image_size_aux": 128,
        "image_grid": 1,
        "image_global": False,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "torch_dtype": "float32",
        "transformers_version": "4.38.2",
        "use_cache": True,
        "_name_or_path": "model_zoo/LLM/gemma/gemma-2b-it",
    }
    return {**gemma, **extras, **changes}


def write_weights(folder: Path, weights: dict[str, torch.Tensor], layout: str) -> None:
    suffix = "bin" if "bin" in layout else "safetensors"
    stem = "pytorch_model" if suffix == "bin" else "model"
    parts = [weights]
    if layout.startswith("sharded"):
        names = sorted(weights)  # CLIP's tensors end up in both shards
        parts = [{name: weights[name] for name in names[start::2]} for start in (0, 1)]
    files = {}
    for number, part in enumerate(parts, start=1):
        file = f"{stem}.{suffix}" if len(parts) == 1 else f"{stem}-{number:05}-of-{len(parts):05}.{suffix}"
        files |= dict.fromkeys(part, file)
        if suffix == "bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
    if len(parts) > 1:
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


def publish(root: Path, source: Path, *, layout: str = "sharded", towers: str = "inside", **changes: Any) -> Path:
    """The reference weights as a checkpoint folder beside its model zoo."""
    folder = root / "work_dirs" / "MGM-2B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(original_config(source, **changes)))
    (folder / "generation_config.json").write_text('{"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}')
    for file in (source.parent / "toy_tokenizer").iterdir():
        shutil.copyfile(file, folder / file.name)
    weights = golden.read(source, "weights.safetensors")
    sizes = golden.sizes(source)
    clip = CLIPVisionModel(CLIPVisionConfig(**sizes["vision_config"]))
    clip.load_state_dict({name.removeprefix(CLIP): item for name, item in weights.items() if name.startswith(CLIP)})
    clip.save_pretrained(root / ZOO / "clip-vit-tiny")
    if towers == "beside":
        tower = ConvNextModel(ConvNextConfig(**sizes["vision_config_aux"]))
        names = {mgm_name(name): item for name, item in weights.items()}
        tower.load_state_dict(
            {name.removeprefix(AUX): item for name, item in names.items() if name.startswith(AUX)}, strict=False
        )
        write_openclip(root / ZOO / "openclip-convnext-large-d-320-tiny", tower)
        weights = {name: item for name, item in weights.items() if "vision_tower" not in name}
    write_weights(folder, weights, layout)
    return folder


def check(target: Path, source: Path, tolerance: float = 2e-5) -> None:
    """The converted model answers as the original did."""
    model = AutoModelForImageTextToText.from_pretrained(target).eval()
    given = golden.expanded(source, NAME)
    with torch.no_grad():
        found = model(**given).logits
    valid = given["attention_mask"].bool()
    expected = golden.output(source, NAME, "out.logits")
    torch.testing.assert_close(found[valid], expected[valid], atol=tolerance, rtol=0)
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (1, 0)
    processor = AutoProcessor.from_pretrained(target)
    assert processor.num_image_tokens == 16
    assert processor.image_token_id == model.config.image_token_id == 279  # <unused0>
    assert processor.image_processor.image_size_aux == 128


@pytest.mark.parametrize(
    ("layout", "towers", "model_type"),
    [
        ("single", "inside", "mgm_gemma"),
        ("sharded", "inside", "mini_gemini_gemma"),
        ("single bin", "beside", "mgm_gemma"),
        ("sharded", "beside", "mgm_gemma"),
        ("sharded bin", "inside", "mini_gemini_gemma"),
    ],
)
def test_every_layout(tmp_path: Path, slice_of_reference: Path, layout: str, towers: str, model_type: str) -> None:
    folder = publish(tmp_path, slice_of_reference, layout=layout, towers=towers, model_type=model_type)
    convert(folder, tmp_path / "converted", hidden_act="gelu")
    check(tmp_path / "converted", slice_of_reference)


def test_the_default_activation_is_that_of_current_transformers(tmp_path: Path, slice_of_reference: Path) -> None:
    convert(publish(tmp_path, slice_of_reference), tmp_path / "converted")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "converted")
    assert model.config.text_config.hidden_act == "gelu_pytorch_tanh"
    check(tmp_path / "converted", slice_of_reference, tolerance=5e-3)


def test_command_line(tmp_path: Path, slice_of_reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, target = publish(tmp_path, slice_of_reference), tmp_path / "out" / "converted"
    monkeypatch.setattr(sys, "argv", ["convert", str(folder), str(target), "--hidden-act", "gelu"])
    main()
    check(target, slice_of_reference)
    weights = golden.read(slice_of_reference, "weights.safetensors")
    for file in folder.glob("model*"):
        file.unlink()
    write_weights(folder, {name: item for name, item in weights.items() if name != "model.norm.weight"}, "single")
    with pytest.raises(UserError, match=r"missing model\.language_model\.norm\.weight$"):
        main()
    check(target, slice_of_reference)  # what was there stays


@pytest.mark.slow
def test_as_a_module(tmp_path: Path, slice_of_reference: Path) -> None:
    folder, target = publish(tmp_path, slice_of_reference), tmp_path / "converted"
    command = [sys.executable, "-m", "recap.models.mgm.convert", str(folder), str(target)]
    done = subprocess.run([*command, "--hidden-act", "gelu"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "CLIP: inside the checkpoint" in done.stderr
    check(target, slice_of_reference)
    (folder / "config.json").unlink()
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("error: ")


def test_the_checkpoint_written_by_the_original(tmp_path: Path, reference: Path, slice_of_reference: Path) -> None:
    folder = publish(tmp_path, slice_of_reference)
    config = json.loads((reference / "original_config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    shutil.move(tmp_path / "model_zoo", tmp_path / "work_main" / "model_zoo")
    assert config["mm_vision_tower"] == "work_main/model_zoo/OpenAI/clip-vit-tiny"
    convert(folder, tmp_path / "converted", hidden_act="gelu")
    check(tmp_path / "converted", slice_of_reference)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mgm"}, "expected model_type mgm_gemma or mini_gemini_gemma, found 'mgm'"),
        ({"mm_projector_type": "linear"}, "expected mm_projector_type mlp2x_gelu, found 'linear'"),
        ({"mm_use_im_start_end": True}, "expected mm_use_im_start_end False, found True"),
    ],
)
def test_other_models_are_refused(
    tmp_path: Path, slice_of_reference: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        convert(publish(tmp_path, slice_of_reference, **changes), tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


@pytest.mark.parametrize(
    ("lost", "kind"), [("clip-vit-tiny", "CLIP"), ("openclip-convnext-large-d-320-tiny", "ConvNeXt")]
)
def test_a_tower_that_is_nowhere(tmp_path: Path, slice_of_reference: Path, lost: str, kind: str) -> None:
    folder = publish(tmp_path, slice_of_reference, towers="beside")
    shutil.rmtree(tmp_path / ZOO / lost)
    with pytest.raises(UserError, match=f"expected {kind} inside the checkpoint or beside it"):
        convert(folder, tmp_path / "converted")


def test_without_a_tokenizer_the_model_alone(tmp_path: Path, slice_of_reference: Path) -> None:
    folder = publish(tmp_path, slice_of_reference)
    (folder / "tokenizer.json").unlink()
    convert(folder, tmp_path / "converted")
    assert not (tmp_path / "converted" / "processor_config.json").exists()
    assert MGMConfig.from_pretrained(tmp_path / "converted").image_token_id == -200


def test_a_tokenizer_without_unused_tokens(tmp_path: Path, slice_of_reference: Path) -> None:
    folder = publish(tmp_path, slice_of_reference)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((folder / name).read_text().replace("<unused", "<spare"))
    with pytest.raises(UserError, match=r"MGM-2B: expected a token <unused0>, .*found none"):
        convert(folder, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


class TestLoading:
    def test_missing_unexpected_and_misshapen_are_listed_and_nothing_is_loaded(self, slice_of_reference: Path) -> None:
        model = golden.build(slice_of_reference)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        weights = {name: tensor + 1 for name, tensor in golden.read(slice_of_reference, "weights.safetensors").items()}
        del weights["model.norm.weight"], weights[f"{AUX}vision_stem.0.bias"]
        weights["model.vision_resampler.weight"] = torch.zeros(1)
        weights["model.mm_projector.0.bias"] = torch.zeros(3)
        with pytest.raises(UserError) as raised:
            load_original(model, weights)
        message = str(raised.value)
        assert "missing model.language_model.norm.weight; " in message
        assert "missing model.vision_tower_aux.embeddings.patch_embeddings.bias; " in message
        assert "unexpected model.vision_resampler.weight; " in message
        assert "model.mm_projector.0.bias has shape [3], expected [64]" in message
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    def test_buffers_of_older_versions_and_a_stored_head_are_accepted(self, slice_of_reference: Path) -> None:
        weights = dict(golden.read(slice_of_reference, "weights.safetensors"))
        weights[f"{CLIP}embeddings.position_ids"] = torch.arange(17)[None]
        weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
        load_original(golden.build(slice_of_reference), weights)

    def test_a_head_of_its_own_is_not(self, slice_of_reference: Path) -> None:
        weights = dict(golden.read(slice_of_reference, "weights.safetensors"))
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"] + 1
        with pytest.raises(UserError, match=r"lm_head\.weight differs from .* tied"):
            load_original(golden.build(slice_of_reference), weights)

    def test_the_models_dtype_stays(self, slice_of_reference: Path) -> None:
        model = golden.build(slice_of_reference).to(torch.bfloat16)
        load_original(model, golden.read(slice_of_reference, "weights.safetensors"))
        assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


class TestReading:
    def test_a_pickle_with_code_is_refused(self, tmp_path: Path) -> None:
        torch.save({"weight": torch.zeros(1), "code": Path}, tmp_path / "pytorch_model.bin")
        with pytest.raises(UserError, match="a file of tensors and nothing else"):
            read_weights(tmp_path)

    @pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
    def test_a_damaged_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
        with pytest.raises(UserError, match=name):
            read_weights(tmp_path)

    def test_a_lost_shard(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "model-00001-of-00001.safetensors"}}'
        )
        with pytest.raises(UserError, match=r"model-00001-of-00001\.safetensors: expected a file of weights"):
            read_weights(tmp_path)

    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="expected weights"):
            read_weights(tmp_path)
        with pytest.raises(UserError, match="found nothing"):
            read_tensors(tmp_path / "model.safetensors")

    def test_configurations_read_off_tensors(self) -> None:
        sizes = {"hidden_size": 128, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}
        given = CLIPVisionConfig(**sizes, image_size=28, patch_size=7)
        assert clip_config_of(CLIPVisionModel(given).state_dict()).to_dict() == given.to_dict()
        aux = ConvNextConfig(hidden_sizes=[4, 6, 8, 10], depths=[1, 2, 3, 1], drop_path_rate=0.2)
        found = convnext_config_of(ConvNextModel(aux).state_dict(), drop_path_rate=0.2)
        assert found.to_dict() == aux.to_dict()
        with pytest.raises(UserError, match=r"width 32 does not show its number of heads"):
            clip_config_of({"embeddings.class_embedding": torch.zeros(32)})


@pytest.mark.parametrize("layout", ["recap", "original"])
@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("model", "model", "apart from"),
        ("model", ".", "apart from"),
        ("model", "model/published", "apart from"),
        ("nothing", "new", "expected a folder to read, found none"),
        ("model", "gemma", "found a folder of other files"),
        ("model", "mgm_with_notes", "found a folder of other files"),
        ("model", "notes", "found a folder of other files"),
        ("model", "notes/thesis.txt", "found a file"),
    ],
)
def test_what_is_no_earlier_output_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, source: str, target: str, told: str
) -> None:
    files = {
        "model/config.json": "{}",
        "notes/thesis.txt": "text",
        "gemma/config.json": '{"model_type": "gemma"}',
        "mgm_with_notes/config.json": '{"model_type": "mgm"}',
        "mgm_with_notes/thesis.txt": "text",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path / source), str(tmp_path / target), "--layout", layout])
    with pytest.raises(UserError, match=told):
        main()
    assert {name: (tmp_path / name).read_text() for name in files} == files


@pytest.mark.parametrize("layout", ["recap", "original"])
@pytest.mark.parametrize(
    "config",
    [
        "[1]",
        '{"model_type": "mgm_gemma", "mm_projector_type": "mlp2x_gelu", "hidden_size": "big"}',
        '{"model_type": "mgm", "text_config": 3}',
    ],
)
def test_a_configuration_of_something_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, config: str
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(config)
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path / "model"), str(tmp_path / "new"), "--layout", layout])
    with pytest.raises(UserError):
        main()
    assert not (tmp_path / "new").exists()

"""Of every kind of model folder the check says that it is well when it is, and names what is wrong when it is not."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from recap.models.mgm.build import build_mgm
from recap.models.mgm.projector import save_projector
from recap.models.mgm.publish import publish
from recap.params import LoraParams
from recap.runtime.errors import UserError
from recap.training.adapters import ADAPTER_CONFIG
from recap.training.check.__main__ import main
from recap.training.check.findings import Findings, Verdict, table
from recap.training.check.kinds import check_folder
from recap.training.lora import ADAPTER_WEIGHTS, add_lora, save_adapter
from recap.training.trainable import trained

from .conftest import IMAGE_SIZE_AUX, World, as_the_original

INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
ASPECTS = ["files", "config", "tensors", "loads", "generates"]
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each kind, all of them well."""
    root = tmp_path_factory.mktemp("check")
    torch.manual_seed(1)
    model, processor = build_mgm(*world.parts, image_size_aux=IMAGE_SIZE_AUX)
    model.save_pretrained(root / "merged")
    processor.save_pretrained(root / "merged")
    publish(root / "merged", root / "MGM-2B")
    # Towers with the marks that the original looks for. This CLIP is too small to show its heads without config.json.
    towers = {"mm_vision_tower": root / "openai-clip", "mm_vision_tower_aux": root / "openclip-convnext"}
    for folder, part in zip(towers.values(), world.parts[1:], strict=True):
        shutil.copytree(part, folder)
    change_config(root / "MGM-2B", optimize_vision_tower_aux=True, **{key: str(path) for key, path in towers.items()})
    save_projector(model, root / "projector")
    connectors = {
        f"model.{name}": tensor for name, tensor in load_file(root / "projector/projector.safetensors").items()
    }
    (root / "stage1").mkdir()
    torch.save(connectors, root / "stage1" / "mm_projector.bin")
    wrapped = add_lora(model, LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["q_proj", "down_proj"]))
    with torch.no_grad():
        for _, parameter in trained(wrapped):
            parameter.add_(0.1)
    save_adapter(wrapped, root / "adapter")
    as_the_original(root / "adapter", root / "lora")
    return root


def change_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change(file: Path, edit: Callable[[Tensors], None]) -> None:
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def rows(findings: Findings, verdict: Verdict) -> str:
    return "\n".join(f"{finding.subject}: {finding.text}" for finding in findings if finding.verdict == verdict)


@pytest.mark.parametrize(
    ("name", "kind", "base"),
    [
        ("merged", "merged model", None),
        ("MGM-2B", "published model of the original", None),
        ("projector", "projector", "merged"),
        ("stage1", "projector of the original", "MGM-2B"),
        ("adapter", "adapter", "merged"),
        ("lora", "adapter of the original", "MGM-2B"),
    ],
)
def test_a_folder_that_is_well(made: Path, name: str, kind: str, base: str | None) -> None:
    found, findings = check_folder(made / name, made / base if base else None)
    assert found == kind
    well = {finding.subject for finding in findings if finding.verdict == Verdict.OK}
    assert well == set(ASPECTS) - ({"config"} if name == "stage1" else set())
    assert rows(findings, Verdict.FAULT) == ""


@pytest.mark.parametrize("name", ["adapter", "lora", "projector", "stage1"])
def test_a_part_without_its_base_is_not_tried(made: Path, name: str) -> None:
    findings = check_folder(made / name)[1]
    assert rows(findings, Verdict.UNTRIED).count("give --base") == 2
    assert rows(findings, Verdict.FAULT) == ""


def test_sharded_or_not_makes_no_difference_here(made: Path, tmp_path: Path) -> None:
    publish(made / "merged", tmp_path / "MGM-2B", max_shard_size="20KB")
    shutil.copyfile(made / "MGM-2B/config.json", tmp_path / "MGM-2B/config.json")
    assert len(list((tmp_path / "MGM-2B").glob("model-*"))) > 2
    assert rows(check_folder(tmp_path / "MGM-2B")[1], Verdict.FAULT) == ""


def _lost_shard(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _damaged(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def _lost_tensor(folder: Path) -> None:
    change(folder / WEIGHTS, lambda tensors: tensors.pop("model.norm.weight"))


def _lost_everywhere(folder: Path) -> None:
    _lost_tensor(folder)
    (folder / INDEX).unlink()


def _stranger(folder: Path) -> None:
    change(folder / WEIGHTS, lambda tensors: tensors.update({"model.resampler.weight": torch.ones(1)}))


def _misshapen(folder: Path) -> None:
    change(folder / WEIGHTS, lambda tensors: tensors.update({"model.mm_projector.0.bias": torch.ones(3)}))


def _not_finite(folder: Path) -> None:
    change(folder / WEIGHTS, lambda tensors: tensors["model.mm_projector.0.bias"].fill_(float("inf")))


def _all_zero(folder: Path) -> None:
    change(folder / WEIGHTS, lambda tensors: tensors["model.mm_projector.0.weight"].zero_())


def _zero_bias(folder: Path) -> None:
    change(folder / WEIGHTS, lambda tensors: tensors["model.mm_projector.0.bias"].zero_())


def _own_head(folder: Path) -> None:
    def add(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1

    change(folder / WEIGHTS, add)
    (folder / INDEX).unlink()


def _global_view_without_grid(folder: Path) -> None:
    change_config(folder, image_global=True, image_grid=1)


def _not_mlp2x(folder: Path) -> None:
    change_config(folder, mm_projector_type="linear")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_lost_shard, r"files: .*model\.safetensors: expected a file of weights, found nothing"),
        (_damaged, r"files: .*model\.safetensors: expected a file of tensors"),
        (_lost_tensor, r"files: model\.safetensors: lacks model\.norm\.weight"),
        (_lost_everywhere, r"tensors: missing model\.language_model\.norm\.weight"),
        (_stranger, r"files: model\.safetensors: the index does not name model\.resampler\.weight"),
        (_misshapen, r"tensors: model\.mm_projector\.0\.bias has shape \[3\], expected \[16\]"),
        (_not_finite, r"tensors: model\.mm_projector\.0\.bias is not finite"),
        (_all_zero, r"tensors: model\.mm_projector\.0\.weight is all zero"),
        (_own_head, r"tensors: lm_head\.weight differs from .* tied"),
        (_global_view_without_grid, r"config: .*image_global=True needs image_grid > 1"),
        (_not_mlp2x, r"config: .*expected mm_projector_type mlp2x_gelu"),
    ],
)
def test_a_published_model_with_a_fault(
    made: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(made / "MGM-2B", tmp_path / "MGM-2B"))
    spoil(folder)
    assert_fault(folder, message)


def test_a_bias_may_be_zero(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "MGM-2B", tmp_path / "MGM-2B"))
    _zero_bias(folder)
    assert rows(check_folder(folder)[1], Verdict.FAULT) == ""


def test_a_merged_model_of_zeros_is_none(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "merged", tmp_path / "merged"))
    change(folder / WEIGHTS, lambda tensors: [tensor.zero_() for tensor in tensors.values()])
    faults = rows(check_folder(folder)[1], Verdict.FAULT).splitlines()
    assert "is all zero" in faults[0] and re.search(r"and \d+ more like it", faults[-1])


def assert_fault(folder: Path, message: str) -> None:
    findings = check_folder(folder)[1]
    faults = rows(findings, Verdict.FAULT)
    assert len(faults.splitlines()) == 1, faults
    assert re.search(message, faults), faults
    assert not any(finding.verdict == Verdict.OK and finding.subject in ("loads", "generates") for finding in findings)


def _one_file(folder: Path) -> None:
    (folder / INDEX).unlink()


def _shards(folder: Path, goes_first: Callable[[str], bool]) -> None:
    """Put the tensors of which `goes_first` is true into a shard of their own."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    parts = [{name: tensors[name] for name in tensors if goes_first(name) == first} for first in (True, False)]
    weight_map = {}
    for number, part in enumerate(parts, start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


CLIP = "model.vision_tower."


def _clip_in_two_shards(folder: Path) -> None:
    _shards(folder, lambda name: name.startswith(f"{CLIP}vision_tower.vision_model.encoder.layers.0."))


def _clip_elsewhere(folder: Path) -> None:
    _shards(folder, lambda name: name.startswith(CLIP))


def _aux_of_its_own(folder: Path) -> None:
    change_config(folder, optimize_vision_tower_aux=False)


def _smaller_vocabulary(folder: Path) -> None:
    def grow(tensors: Tensors) -> None:
        embeddings = tensors["model.embed_tokens.weight"]
        tensors["model.embed_tokens.weight"] = torch.cat([embeddings, embeddings[:5]])

    change(folder / WEIGHTS, grow)
    change_config(folder, vocab_size=json.loads((folder / "config.json").read_text())["vocab_size"] + 5)


def _another_name(folder: Path) -> None:
    folder.rename(folder.parent / "train")


def _unknown_tower(folder: Path) -> None:
    path = Path(json.loads((folder / "config.json").read_text())["mm_vision_tower"])
    clip = shutil.copytree(path, folder.parent / "clip")
    change_config(folder, mm_vision_tower=str(clip))


def _absent_tower(folder: Path) -> None:
    change_config(folder, mm_vision_tower_aux="model_zoo/OpenAI/openclip-convnext")


def _short(folder: Path) -> None:
    change_config(folder, tokenizer_model_max_length=4)


def _half_towers(folder: Path) -> None:
    def halve(tensors: Tensors) -> None:
        tensors |= {name: tensor.half() for name, tensor in tensors.items() if "vision_tower" in name}

    change(folder / WEIGHTS, halve)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_one_file, r"cannot load a model without model\.safetensors\.index\.json"),
        (
            _clip_in_two_shards,
            r"cannot load CLIP: it lies in model-00001.*, model-00002.* and only model-00002.* is read",
        ),
        (_clip_elsewhere, r"silently takes another CLIP, .*openai-clip: this one lies in model-00001"),
        (_aux_of_its_own, r"ignores this ConvNeXt for the OpenCLIP file of .*openclip-convnext"),
        (_smaller_vocabulary, r"resizes the (\d+) embeddings to the \d+ tokens of the tokenizer"),
        (_another_name, r"picks the class by the folder's name and takes 'train' for another model"),
        (_unknown_tower, r"knows no tower like mm_vision_tower '.*clip' \(expected openai or sharegpt4v in it\)"),
        (_absent_tower, r"needs mm_vision_tower_aux 'model_zoo/OpenAI/openclip-convnext' in the folder"),
        (_short, r"cuts every prompt at 4 tokens, .*: an image takes 4"),
        (_half_towers, r"trained with towers in float16 that nobody asked for"),
    ],
)
def test_what_only_the_original_stumbles_over(
    made: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(made / "MGM-2B", tmp_path / "MGM-2B"))
    spoil(folder)
    findings = check_folder(folder if folder.exists() else tmp_path / "train")[1]
    assert rows(findings, Verdict.FAULT) == ""
    quirks = rows(findings, Verdict.ORIGINAL)
    assert len(quirks.splitlines()) == 1, quirks
    assert re.search(message, quirks), quirks
    assert " FAULT " in table(findings, for_original=True)
    assert " FAULT " not in table(findings)


def test_the_original_cannot_load_its_own_lora(made: Path, tmp_path: Path) -> None:
    quirks = rows(check_folder(made / "lora")[1], Verdict.ORIGINAL)
    assert "cannot load a LoRA folder" in quirks
    assert "finds no mm_* fields in a config.json beside the adapter" in quirks
    folder = Path(shutil.copytree(made / "lora", tmp_path / "lora"))
    shutil.copyfile(made / "MGM-2B/config.json", folder / "config.json")
    assert "mm_* fields" not in rows(check_folder(folder)[1], Verdict.ORIGINAL)
    assert rows(check_folder(made / "MGM-2B")[1], Verdict.ORIGINAL) == ""


def _of(part: str) -> Callable[[Tensors], str]:
    return lambda tensors: min(name for name in tensors if part in name)


def _edit_adapter(part: str, edit: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        def change_one(tensors: Tensors) -> None:
            name = _of(part)(tensors)
            if (edited := edit(tensors.pop(name))) is not None:
                tensors[name] = edited

        change(folder / ADAPTER_WEIGHTS, change_one)

    return spoil


def _no_connectors(folder: Path) -> None:
    def drop(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".lora_" not in name]:
            del tensors[name]

    change(folder / ADAPTER_WEIGHTS, drop)


def _no_config(folder: Path) -> None:
    (folder / ADAPTER_CONFIG).unlink()


def _another_rank(folder: Path) -> None:
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**config, "r": 8}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_edit_adapter("lora_B", lambda tensor: None), r"tensors: missing .*lora_B\.weight"),
        (_edit_adapter("lora_B", torch.zeros_like), r"tensors: .*lora_B\.weight is all zero, as before training"),
        (_edit_adapter("lora_A", lambda tensor: tensor / 0), r"tensors: .*lora_A\.weight is not finite"),
        (
            _edit_adapter("vlm_uni_val", lambda tensor: tensor[:0]),
            r"tensors: .*vlm_uni_val_projector.* is empty: ZeRO-3",
        ),
        (_edit_adapter("mm_proj", torch.Tensor.bfloat16), r"tensors: expected float32, .* found bfloat16"),
        (_edit_adapter("mm_projector.2.b", lambda tensor: None), r"tensors: missing mm_projector\.2\.bias"),
        (_edit_adapter("query_projector.1.w", torch.Tensor.flatten), r"query_projector.1.weight has shape \[256\]"),
        (_no_connectors, r"files: .*expected connectors in adapter_model\.safetensors or in non_lora_trainables\.bin"),
        (_no_config, r"files: .*adapter_config\.json: expected a JSON file"),
        (_another_rank, r"tensors: .*has shape .*, expected rank 8"),
    ],
)
def test_an_adapter_with_a_fault(made: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    folder = Path(shutil.copytree(made / "adapter", tmp_path / "adapter"))
    spoil(folder)
    findings = check_folder(folder, made / "merged")[1]
    assert re.search(message, rows(findings, Verdict.FAULT)), rows(findings, Verdict.FAULT)
    assert not any(finding.verdict == Verdict.OK and finding.subject in ("loads", "generates") for finding in findings)


def test_parts_of_another_model_do_not_load(made: Path, tmp_path: Path, world: World) -> None:
    torch.manual_seed(1)
    model, _ = build_mgm(*world.parts, image_size_aux=IMAGE_SIZE_AUX)
    wrapped = add_lora(model, LoraParams(r=4, alpha=8, dropout=0.0, target_modules=["up_proj"]))
    with torch.no_grad():
        for _, parameter in trained(wrapped):
            parameter.add_(0.1)
    save_adapter(wrapped, tmp_path / "adapter")
    _edit_adapter("lora_A", lambda tensor: tensor[:, :3].contiguous())(tmp_path / "adapter")
    assert "does not fit the base model" in rows(check_folder(tmp_path / "adapter", made / "merged")[1], Verdict.FAULT)


def test_a_merged_model_with_a_fault(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "merged", tmp_path / "merged"))
    change(folder / WEIGHTS, lambda tensors: tensors.pop("model.language_model.norm.weight"))
    # transformers would fill it in with random numbers, and say so in a table of its own.
    assert_fault(folder, r"tensors: missing model\.language_model\.norm\.weight")


def test_a_merged_model_without_its_processor(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "merged", tmp_path / "merged"))
    (folder / "processor_config.json").unlink()
    assert "loads: " in rows(check_folder(folder)[1], Verdict.FAULT)


def test_a_projector_with_a_fault(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "projector", tmp_path / "projector"))
    change(folder / "projector.safetensors", lambda tensors: tensors.pop("mm_projector.2.bias"))
    assert_fault(folder, r"tensors: missing mm_projector\.2\.bias")


def test_no_tokenizer_is_not_tried(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "MGM-2B", tmp_path / "MGM-2B"))
    (folder / "tokenizer.json").unlink()
    findings = check_folder(folder)[1]
    assert "generates: not tried: there is no tokenizer" in rows(findings, Verdict.UNTRIED)
    assert rows(findings, Verdict.FAULT) == ""


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a model folder, found nothing"):
        check_folder(tmp_path / "none")
    with pytest.raises(UserError, match=r"expected an adapter, a projector or a model with a config\.json"):
        check_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="expected model_type mgm or mgm_gemma or mini_gemini_gemma, found 'llama'"):
        check_folder(tmp_path)


def test_command_line(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check", str(made / "adapter"), "--base", str(made / "merged")])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{made / 'adapter'}: adapter"
    assert [line.split()[:2] for line in lines[1:]] == [[aspect, "ok"] for aspect in ASPECTS]
    folder = Path(shutil.copytree(made / "MGM-2B", tmp_path / "MGM-2B"))
    _one_file(folder)
    monkeypatch.setattr(sys, "argv", ["check", str(folder)])
    main()
    monkeypatch.setattr(sys, "argv", ["check", str(folder), "--for-original"])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert "original   FAULT  cannot load a model without" in capsys.readouterr().out


def test_help_needs_no_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['check', '--help']\n"
        "try: runpy.run_module('recap.training.check', run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--for-original" in done.stdout

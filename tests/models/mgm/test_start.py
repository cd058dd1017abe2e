"""What training can start from: each kind is told by its content, gives its own weights, and is refused in one line."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import mgm_golden as golden
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_convert import publish

from recap.models.mgm.build import build_mgm
from recap.models.mgm.connectors import connector_parameters
from recap.models.mgm.convert import convert
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.projector import save_projector
from recap.models.mgm.start import build_start
from recap.models.start_kinds import kind_of
from recap.runtime.errors import UserError

MARKER = Path(__file__).parents[3] / "configs" / "start" / "parts"
SIZES: dict[str, Any] = {"image_size_aux": 64, "image_grid": 1, "image_global": False}


@pytest.fixture
def parts(pretrained: Path) -> tuple[Path, Path, Path]:
    return pretrained / "gemma", pretrained / "clip", pretrained / "convnext"


def built(
    start: Path, parts: tuple[Path, Path, Path], *, dtype: torch.dtype = torch.float32, **changes: Any
) -> MGMForConditionalGeneration:
    torch.manual_seed(5)
    return build_start(start, *parts, **(SIZES | changes), dtype=dtype)[0]


def equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    others = dict(two.named_parameters())
    return all(torch.equal(parameter, others[name]) for name, parameter in one.named_parameters())


def test_from_the_parts(parts: tuple[Path, Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        model = built(MARKER, parts)
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("starts from")]
    assert len(told) == 1 and "new connectors" in told[0]
    torch.manual_seed(5)
    assert equal(model, build_mgm(*parts, **SIZES)[0])


@pytest.mark.parametrize("layout", ["recap", "original"])
def test_from_connectors(parts: tuple[Path, Path, Path], tmp_path: Path, layout: str) -> None:
    """The original's file of its first stage holds the towers too; they come from the parts."""
    donor = built(MARKER, parts)
    with torch.no_grad():
        for parameter in connector_parameters(donor).values():
            parameter.normal_()
    start = tmp_path / "start"
    if layout == "recap":
        save_projector(donor, start)
    else:
        start.mkdir()
        stored = {f"model.{name}": tensor.detach() for name, tensor in connector_parameters(donor).items()}
        stored["model.vision_tower.vision_tower.vision_model.pre_layrnorm.weight"] = torch.zeros(32)
        torch.save(stored, start / "mm_projector.bin")
        # As the original leaves it beside the file.
        (start / "config.json").write_text('{"model_type": "mgm_gemma", "image_size_aux": 768}')
    assert kind_of(start) == "projector"
    assert equal(built(start, parts), donor)


def whole(kind: str, tmp_path: Path, slice_of_reference: Path) -> Path:
    source = publish(tmp_path, slice_of_reference)
    if kind == "original":
        return source
    convert(source, tmp_path / "merged")
    return tmp_path / "merged"


@pytest.mark.parametrize("kind", ["original", "merged"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_from_a_whole_model(
    parts: tuple[Path, Path, Path], tmp_path: Path, slice_of_reference: Path, kind: str, dtype: torch.dtype
) -> None:
    """Its own language model, towers and connectors; the connectors stay float32, unrounded."""
    start = whole(kind, tmp_path, slice_of_reference)
    assert kind_of(start) == kind
    model = built(start, parts, dtype=dtype, image_size_aux=128)
    reference = golden.build(slice_of_reference)
    connectors = {id(parameter) for parameter in connector_parameters(model).values()}
    wanted = dict(reference.named_parameters())
    for name, parameter in model.named_parameters():
        if id(parameter) in connectors:
            assert parameter.dtype == torch.float32 and torch.equal(parameter, wanted[name]), name
        else:
            assert parameter.dtype == dtype and torch.equal(parameter, wanted[name].to(dtype)), name
    assert model.training and model.config.dtype == dtype
    assert not any(parameter.requires_grad for parameter in model.model.vision_tower.parameters())
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight


@pytest.mark.parametrize("kind", ["original", "merged"])
def test_a_whole_model_of_other_sizes_is_refused(
    parts: tuple[Path, Path, Path], tmp_path: Path, slice_of_reference: Path, kind: str
) -> None:
    start = whole(kind, tmp_path, slice_of_reference)
    with pytest.raises(UserError, match=r"expected .*\(image_size_aux 256, .*found image_size_aux 128.*section mgm"):
        built(start, parts, image_size_aux=256)


def test_a_whole_model_without_its_tokenizer_is_refused(
    parts: tuple[Path, Path, Path], tmp_path: Path, slice_of_reference: Path
) -> None:
    start = publish(tmp_path, slice_of_reference)
    for file in start.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match="expected a tokenizer beside the weights, found none"):
        built(start, parts, image_size_aux=128)


def bring_code(folder: Path, file: str, **settings: Any) -> Path:
    """Have a JSON file of a model name Python code of its folder, which leaves the trace that is returned."""
    path, ran = folder / file, folder / "ran"
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | settings))
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    return ran


@pytest.mark.parametrize("kind", ["original", "merged"])
def test_code_of_a_whole_models_tokenizer_does_not_run(
    parts: tuple[Path, Path, Path], tmp_path: Path, slice_of_reference: Path, kind: str
) -> None:
    start = whole(kind, tmp_path, slice_of_reference)
    auto_map = {"AutoTokenizer": ["own.Own", "own.Own"]}
    ran = bring_code(start, "tokenizer_config.json", tokenizer_class="Own", auto_map=auto_map)
    with pytest.raises(UserError, match=r"was not run .* take auto_map out of its JSON files"):
        built(start, parts, image_size_aux=128)
    assert not ran.exists()


def test_code_of_a_part_does_not_run(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    gemma = Path(shutil.copytree(parts[0], tmp_path / "gemma"))
    ran = bring_code(gemma, "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})
    with pytest.raises(UserError, match=r"gemma: .* was not run .* set device\.trust_remote_code to true"):
        built(MARKER, (gemma, *parts[1:]))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "found none of these"),
        ({"config.json": {"model_type": "gemma"}}, "found a model of type gemma"),
        ({"config.json": ["mgm"]}, "expected a JSON object, found list"),
        ({"config.json": {"model_type": "mgm"}, "adapter_config.json": {}}, "found a LoRA adapter.*`merge`"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, files: dict[str, Any], told: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UserError, match=told) as caught:
        kind_of(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_named_as_a_parameter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^models\.start\.path: .*MGM-2B: .*found nothing; correct the path"):
        kind_of(tmp_path / "MGM-2B")


def test_connectors_of_another_size_are_refused(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    save_projector(built(MARKER, parts), tmp_path / "start")
    file = tmp_path / "start" / "projector.safetensors"
    save_file(load_file(file) | {"mm_projector.0.weight": torch.zeros(3, 3)}, file)
    with pytest.raises(UserError, match=r"mm_projector\.0\.weight has shape \[3, 3\]"):
        built(tmp_path / "start", parts)


def test_a_merged_model_cut_short_is_refused(
    parts: tuple[Path, Path, Path], tmp_path: Path, slice_of_reference: Path
) -> None:
    start = whole("merged", tmp_path, slice_of_reference)
    file = start / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"expected whole weights: .*incomplete metadata"):
        built(start, parts)


def test_the_marker_alone_means_the_parts(tmp_path: Path) -> None:
    shutil.copytree(MARKER, tmp_path / "elsewhere")
    assert kind_of(tmp_path / "elsewhere") == "parts"

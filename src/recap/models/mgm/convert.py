"""Published MGM checkpoints in this package's format.

In: a folder as the original writes it: config.json of type `mgm_gemma` or `mini_gemini_gemma`, weights sharded
or in one file, with the vision towers inside or beside it. Out: a folder that
`AutoModelForImageTextToText.from_pretrained` and `AutoProcessor.from_pretrained` load. Every tensor has to find
its place and every place its tensor.

    python -m recap.models.mgm.convert SRC DST

With `--layout original` it goes the other way, see `recap.models.mgm.publish`.
"""

import argparse
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, CLIPVisionConfig, CLIPVisionModel, GemmaConfig, GenerationConfig

from recap.io import atomic_path, read_object
from recap.models.mgm.build import processor_for
from recap.models.mgm.checkpoint import (
    clip_config_of,
    convnext_config_of,
    is_openclip,
    openclip_convnext,
    read_weights,
)
from recap.models.mgm.configuration_mgm import MGMConfig, readable_config
from recap.models.mgm.mismatch import mismatches, shapes
from recap.models.mgm.modeling_mgm import MGMConvNextModel, MGMForConditionalGeneration
from recap.models.mgm.placeholder import image_placeholder
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.models.mgm.publish import publish
from recap.models.mgm.weight_names import is_buffer, mgm_name
from recap.models.start_kinds import MERGED_TYPE, MODEL_TYPES
from recap.runtime.errors import UserError
from recap.runtime.remote_code import WITHOUT_OWN_CODE, own_code_explained
from recap.runtime.stage import run

LAYOUTS = ("recap", "original")
ACTIVATIONS = ("gelu_pytorch_tanh", "gelu")
# Files that a folder of a model has, here or as published.
OF_A_MODEL = (
    "config.json",
    "generation_config.json",
    "*processor_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")

_LOW, _AUX = "model.vision_tower.", "model.vision_tower_aux."
log = logging.getLogger(__name__)


def load_original(model: MGMForConditionalGeneration, state_dict: Mapping[str, torch.Tensor]) -> None:
    """Load weights that carry the original's names.

    Args:
        model: Of the same sizes; its dtype and device stay.
        state_dict: Name to tensor. The tied `lm_head.weight` may be there or not; buffers that older
            transformers stored (`*.position_ids`, `*.rotary_emb.inv_freq`) are ignored.

    Raises:
        UserError: Any tensor is missing, unexpected or of another shape; all of them are listed, and nothing
            has been loaded.
    """
    if problems := problems_of(model, state_dict):
        raise UserError(f"expected the weights of this MGM: {'; '.join(problems)}")
    model.load_state_dict(_renamed(state_dict), strict=False)


def problems_of(model: MGMForConditionalGeneration, state_dict: Mapping[str, torch.Tensor]) -> list[str]:
    """What keeps tensors with the original's names from being this model's; see `load_original`."""
    found = _renamed(state_dict)
    tied = model.all_tied_weights_keys
    wanted = {name: tensor for name, tensor in model.state_dict().items() if name in found or name not in tied}
    return mismatches(found, shapes(wanted)) + [
        f"{name} differs from {source}, which it is tied to"
        for name, source in tied.items()
        if name in found and source in found and not torch.equal(found[name], found[source])
    ]


def _renamed(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {mgm_name(name): tensor for name, tensor in state_dict.items() if not is_buffer(name)}


@dataclass(frozen=True)
class Original:
    """A checkpoint of the original, read but not yet a model.

    Attributes:
        config: Of the model that it is here.
        weights: By the original's names, towers that lie beside the checkpoint included.
        tokenizer: None where the folder has none.
    """

    config: MGMConfig
    weights: dict[str, torch.Tensor]
    tokenizer: Any | None

    def model(self, dtype: torch.dtype | None = None) -> MGMForConditionalGeneration:
        """The model with its weights, in their own dtype unless another is given.

        Raises:
            UserError: See `load_original`.
        """
        dtype = dtype or self.weights["model.embed_tokens.weight"].dtype
        model = MGMForConditionalGeneration._from_config(self.config, dtype=dtype)
        load_original(model, self.weights)
        return model


def convert(source: Path, target: Path, *, hidden_act: str = ACTIVATIONS[0]) -> None:
    """Convert one checkpoint folder.

    Args:
        source: As published.
        target: Written whole or not at all.
        hidden_act: Gemma's activation. The published config says "gelu", which transformers 4.38 ran as the
            exact GELU and every version since as its tanh approximation; which of them made the published
            weights is not known.

    Raises:
        UserError: See `load_checkpoint`.
    """
    model, processor = load_checkpoint(source, hidden_act=hidden_act)
    with atomic_path(target) as draft:
        model.save_pretrained(draft)
        if processor is not None:
            processor.save_pretrained(draft)


def load_checkpoint(
    source: Path, *, hidden_act: str = ACTIVATIONS[0], dtype: torch.dtype | None = None
) -> tuple[MGMForConditionalGeneration, MGMProcessor | None]:
    """A published checkpoint as a model.

    Args:
        source: Its folder.
        hidden_act: See `convert`.
        dtype: The model's; the checkpoint's own if None.

    Returns:
        The model on the CPU, and its processor; None without a tokenizer in the folder.

    Raises:
        UserError: The folder is of another kind, its weights do not fit, or its tokenizer has no token for images.
    """
    original = read_original(source, hidden_act=hidden_act)
    model = original.model(dtype)
    log.info("%s: %d tensors in place, activation %s", source, len(original.weights), hidden_act)
    if (source / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(source)
    return model, None if original.tokenizer is None else processor_for(original.config, original.tokenizer)


def read_original(source: Path, *, hidden_act: str = ACTIVATIONS[0]) -> Original:
    """Read a published folder; the arguments and errors are those of `convert`."""
    original = _read_config(source)
    weights = read_weights(source)
    try:
        low, low_config = _low_tower(source, original, weights)
        aux, aux_config = _aux_tower(source, original, weights)
    except KeyError as error:
        raise UserError(f"{source}: expected a tensor {error.args[0]}, found none; fetch it again") from None
    fields = GemmaConfig.default_config_fields().keys() | {"rope_theta"}
    text = {name: value for name, value in original.items() if name in fields - {"architectures", "dtype"}}
    with readable_config(source):
        config = MGMConfig(
            text_config=text | {"hidden_act": hidden_act},
            vision_config=low_config,
            vision_config_aux=aux_config,
            image_size_aux=original.get("image_size_aux", 320),
            image_grid=original.get("image_grid", 1),
            image_global=original.get("image_global", False),
            vision_feature_layer=original.get("mm_vision_select_layer", -2),
        )
    tokenizer = _read_tokenizer(source)
    if tokenizer is not None:
        config.image_token_id = image_placeholder(tokenizer, config.text_config.vocab_size)
    return Original(config, weights | low | aux, tokenizer)


def _read_config(source: Path) -> dict[str, Any]:
    original = read_object(source / "config.json")
    expected = {
        "model_type": MODEL_TYPES,
        "mm_projector_type": ("mlp2x_gelu",),
        "mm_vision_select_feature": ("patch",),
        "mm_use_im_start_end": (False,),
        "mm_use_im_patch_token": (False,),
    }
    defaults = {"mm_projector_type": "linear", "mm_vision_select_feature": "patch"}
    for name, values in expected.items():
        found = original.get(name, defaults.get(name, False))
        if found not in values:
            raise UserError(
                f"{source / 'config.json'}: expected {name} {' or '.join(map(str, values))}, found {found!r}; "
                "only MGM on Gemma can be converted"
            )
    return original


def _low_tower(
    source: Path, original: dict[str, Any], weights: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], CLIPVisionConfig]:
    """Weights of CLIP that are not inside the checkpoint, and its configuration."""
    inside = {mgm_name(name).removeprefix(_LOW): tensor for name, tensor in weights.items() if name.startswith(_LOW)}
    folder = _beside(source, original.get("mm_vision_tower"))
    if inside:
        log.info("CLIP: inside the checkpoint")
        if folder is not None and (folder / "config.json").is_file():
            return {}, CLIPVisionConfig.from_pretrained(folder)
        return {}, clip_config_of(inside)
    if folder is None:
        raise UserError(_tower_missing(source, "CLIP", original.get("mm_vision_tower")))
    log.info("CLIP: %s", folder)
    clip = CLIPVisionModel.from_pretrained(folder)
    return {_LOW + name: tensor for name, tensor in clip.state_dict().items()}, clip.config


def _aux_tower(
    source: Path, original: dict[str, Any], weights: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], Any]:
    """Weights of ConvNeXt that are not inside the checkpoint, and its configuration."""
    inside = {mgm_name(name).removeprefix(_AUX): tensor for name, tensor in weights.items() if name.startswith(_AUX)}
    if inside:
        log.info("ConvNeXt: inside the checkpoint")
        return {}, convnext_config_of(inside)
    folder = _beside(source, original.get("mm_vision_tower_aux"))
    if folder is None:
        raise UserError(_tower_missing(source, "ConvNeXt", original.get("mm_vision_tower_aux")))
    log.info("ConvNeXt: %s", folder)
    dtype = weights["model.embed_tokens.weight"].dtype
    tower = openclip_convnext(folder, dtype) if is_openclip(folder) else MGMConvNextModel.from_pretrained(folder)
    return {_AUX + name: tensor for name, tensor in tower.state_dict().items()}, tower.config


def _beside(source: Path, recorded: object) -> Path | None:
    """A tower's folder: as config.json has it or by name alone, seen from the checkpoint and the folders above."""
    if not isinstance(recorded, str):
        return None
    source, name = source.resolve(), Path(recorded).name
    candidates = [Path(recorded), *(base / path for base in (source, *source.parents) for path in (recorded, name))]
    return next((folder for folder in candidates if folder.is_dir()), None)


def _tower_missing(source: Path, kind: str, recorded: object) -> str:
    return (
        f"{source}: expected {kind} inside the checkpoint or beside it ({recorded}, as its config.json has it), "
        "found neither; put the tower's folder next to the checkpoint"
    )


def _read_tokenizer(source: Path) -> Any | None:
    if not any((source / name).is_file() for name in TOKENIZER_FILES):
        log.warning("%s: no tokenizer, so no processor is written, and images stand as the original's -200", source)
        return None
    with own_code_explained(source, "tokenizer", way=WITHOUT_OWN_CODE):
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)


def _check_folders(source: Path, target: Path) -> None:
    """Refuse to replace what is no earlier output: the source, a folder with or in it, other people's files."""
    if not source.is_dir():
        raise UserError(f"{source}: expected a folder to read, found none; correct the path")
    ours, theirs = target.resolve(), source.resolve()
    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise UserError(f"{target}: expected a folder to write apart from {source}, which is read; name another")
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not _is_earlier_output(target)):
        found = "a file" if target.is_file() else "a folder of other files"
        raise UserError(f"{target}: expected a new folder, an empty one or an MGM, found {found}; name another")


def _is_earlier_output(folder: Path) -> bool:
    """Whether a folder holds an MGM and no file that is none of a model's."""
    if not all(any(fnmatch(file.name, pattern) for pattern in OF_A_MODEL) for file in folder.iterdir()):
        return False
    config = folder / "config.json"
    return config.is_file() and read_object(config).get("model_type") in (MERGED_TYPE, *MODEL_TYPES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.models.mgm.convert", description=convert.__doc__)
    parser.add_argument("source", metavar="SRC", type=Path, help="folder to read: a checkpoint as published")
    parser.add_argument("target", metavar="DST", type=Path, help="folder to write")
    parser.add_argument("--hidden-act", choices=ACTIVATIONS, default=ACTIVATIONS[0], help="Gemma's activation")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default=LAYOUTS[0], help="what to write; original: the published layout, from ours"
    )
    args = parser.parse_args()
    _check_folders(args.source, args.target)
    if args.layout == "original":
        publish(args.source, args.target)
    else:
        convert(args.source, args.target, hidden_act=args.hidden_act)


if __name__ == "__main__":
    run(main)

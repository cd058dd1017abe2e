"""A model of this package in the layout that the original publishes and reads: the inverse of `convert`.

In: a folder that `MGMForConditionalGeneration.from_pretrained` loads. Out: flat config.json of type `mgm_gemma`, the
original's tensor names, no `lm_head.weight`, tokenizer. Follows dvlab-research/MGM@769820c; where a field tells how a
model was trained, which a folder of this package does not, its 2B scripts speak.
"""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

from recap.io import atomic_path, read_object, write_json
from recap.models.loading import dtype_name
from recap.models.mgm.checkpoint import stream_weights
from recap.models.mgm.configuration_mgm import MGMConfig, readable_config
from recap.models.mgm.connectors import CONNECTORS, connector_name
from recap.models.mgm.mismatch import mismatches
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.weight_names import original_name
from recap.runtime.errors import UserError

MAX_SHARD_SIZE = "5GB"  # transformers' default in the original's time; MGM-2B in bfloat16 is two shards
FILES = (
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
# What Gemma's configuration said in transformers 4.38.
_TEXT_FIELDS = (
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "rms_norm_eps",
    "vocab_size",
)
# What the 2B scripts leave in every config.json. The original chooses the towers' code by what stands in their paths.
_OF_THE_SCRIPTS = {
    "freeze_mm_mlp_adapter": False,
    "image_aspect_ratio": "pad",
    "image_grid_pinpoints": None,
    "mm_projector_lr": None,
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_tower": "model_zoo/OpenAI/clip-vit-large-patch14-336",
    "mm_vision_tower_aux": "model_zoo/OpenAI/openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup",
    "optimize_vision_tower": False,
    "optimize_vision_tower_aux": False,
    "tokenizer_padding_side": "right",
    "tune_mm_mlp_adapter": False,
    "use_cache": True,
    "use_mm_proj": True,
}

log = logging.getLogger(__name__)


def publish(source: Path, target: Path, *, max_shard_size: str = MAX_SHARD_SIZE) -> None:
    """Write one model folder in the original's layout.

    Args:
        source: In this package's format.
        target: Written whole or not at all.
        max_shard_size: As transformers takes it; no more than one shard is in memory.

    Raises:
        UserError: The folder is of another kind, or its tensors are not those of its configuration.
    """
    if (found := read_object(source / "config.json").get("model_type")) != MGMConfig.model_type:
        raise UserError(
            f"{source / 'config.json'}: expected model_type {MGMConfig.model_type}, found {found!r}; "
            "only a model of this project can be published"
        )
    with readable_config(source):
        config = MGMConfig.from_pretrained(source)
    tensors = _tensors_in_order(source, config)
    shards = split_torch_state_dict_into_shards(
        tensors, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
    )
    with atomic_path(target) as draft:
        draft.mkdir()
        for file, names in shards.filename_to_tensors.items():
            shard = dict.fromkeys(names, torch.empty(0))
            shard |= {name: tensor for name, tensor in _renamed(source) if name in shard}
            save_file(shard, draft / file, metadata={"format": "pt"})
        # transformers writes an index for several files alone; the original reads no model without one.
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        weight_map = {name: file for file, names in shards.filename_to_tensors.items() for name in names}
        write_json(draft / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": weight_map})
        write_json(draft / "config.json", original_config(config, tensors["model.embed_tokens.weight"].dtype))
        for name in FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, draft / name)
    log.info("%s: %d tensors in %d file(s)", target, len(tensors), len(shards.filename_to_tensors))


def original_names(model: MGMForConditionalGeneration) -> dict[str, str]:
    """The original's name of each tensor that it stores -> the name here, in the original's order."""
    tied = model.all_tied_weights_keys
    names = {original_name(name): name for name in model.state_dict() if name not in tied}
    return dict(sorted(names.items(), key=lambda item: _rank(item[0])))


def _rank(name: str) -> int:
    """Language model and towers first, then the connectors in the original's order."""
    connector = connector_name(name)
    return 1 + CONNECTORS.index(connector.split(".")[0]) if connector else 0


def original_config(config: MGMConfig, dtype: torch.dtype) -> dict[str, Any]:
    """config.json as the original has it, in alphabetical order as transformers writes it."""
    text = config.text_config.to_dict()
    fields = {
        **_OF_THE_SCRIPTS,
        **{name: text[name] for name in _TEXT_FIELDS},
        "rope_theta": text["rope_parameters"]["rope_theta"],
        "architectures": ["MGMGemmaForCausalLM"],
        "image_global": config.image_global,
        "image_grid": config.image_grid,
        "image_size_aux": config.image_size_aux,
        "mm_hidden_size": config.vision_config.hidden_size,
        "mm_hidden_size_aux": config.hidden_size_aux,
        "mm_vision_select_layer": config.vision_feature_layer,
        "model_type": "mgm_gemma",
        "tokenizer_model_max_length": 2048 if config.image_grid == 1 else 4096,
        "torch_dtype": dtype_name(dtype),
    }
    return dict(sorted(fields.items()))


def _tensors_in_order(source: Path, config: MGMConfig) -> dict[str, torch.Tensor]:
    """Every tensor without its numbers, by the original's names and in its order.

    Raises:
        UserError: The folder's tensors are not those of its configuration.
    """
    with torch.device("meta"):
        model = MGMForConditionalGeneration(config)
    wanted, tensors = original_names(model), model.state_dict()
    found = {name: torch.empty_like(tensor, device="meta") for name, tensor in _renamed(source)}
    if problems := mismatches(found, {name: tensors[own].shape for name, own in wanted.items()}):
        raise UserError(f"{source}: expected the tensors of its config.json: {'; '.join(problems)}")
    return {name: found[name] for name in wanted}


def _renamed(source: Path) -> Iterator[tuple[str, torch.Tensor]]:
    return ((original_name(name), tensor) for name, tensor in stream_weights(source))

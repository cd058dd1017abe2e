"""Weight names: the published MGM checkpoints' and timm's, in terms of this package's modules.

In: a name. Out: the name of the same tensor in `MGMForConditionalGeneration` or in transformers' ConvNeXt.
Source: dvlab-research/MGM@769820c; timm 1.0 `convnext`; transformers 5.23 `clip`, `convnext`, `gemma`.
"""

import re
from collections.abc import Iterable

# Every name the original writes starts with one of these; the rest of the name stays unless noted below.
_PREFIXES = (
    ("model.vision_tower.vision_tower.vision_model.", "model.vision_tower."),
    ("model.embed_tokens.", "model.language_model.embed_tokens."),
    ("model.layers.", "model.language_model.layers."),
    ("model.norm.", "model.language_model.norm."),
)
AUX = "model.vision_tower_aux."
# timm's names, and transformers'; {} stands for a number.
_CONVNEXT = (
    ("stem.0.", "embeddings.patch_embeddings."),
    ("stem.1.", "embeddings.layernorm."),
    ("stages.{}.downsample.", "encoder.stages.{}.downsampling_layer."),
    ("stages.{}.blocks.{}.", "encoder.stages.{}.layers.{}."),
    (".gamma", ".layer_scale_parameter"),
    (".conv_dw.", ".dwconv."),
    (".norm.", ".layernorm."),
    (".mlp.fc1.", ".pwconv1."),
    (".mlp.fc2.", ".pwconv2."),
)
_BUFFERS = (".position_ids", "rotary_emb.inv_freq")


def is_buffer(name: str) -> bool:
    """Whether older transformers stored this tensor though it can be computed; it is ignored."""
    return name.endswith(_BUFFERS)


def convnext_name(timm_name: str) -> str:
    """timm's `stages.2.blocks.0.gamma` -> transformers' `encoder.stages.2.layers.0.layer_scale_parameter`."""
    for timm, transformers in _CONVNEXT:
        timm_name = _renamed(timm_name, timm, transformers)
    return timm_name


def timm_name(convnext_name: str) -> str:
    """The inverse of `convnext_name`."""
    for timm, transformers in _CONVNEXT:
        convnext_name = _renamed(convnext_name, transformers, timm)
    return convnext_name


def _renamed(name: str, old: str, new: str) -> str:
    start = "" if old.startswith(".") else "^"
    pattern = start + re.escape(old).replace(r"\{\}", r"(\d+)")
    numbers = iter(range(1, 1 + new.count("{}")))
    return re.sub(pattern, re.sub(r"\{\}", lambda _: rf"\{next(numbers)}", new), name)


def mgm_name(original_name: str) -> str:
    """A name as the original saves it -> the name here; names that need no change come back as they are."""
    if original_name.startswith(AUX):
        return AUX + convnext_name(original_name.removeprefix(AUX).removeprefix("vision_"))
    return _with_prefix(original_name, _PREFIXES)


def original_name(mgm_name: str) -> str:
    """The inverse of `mgm_name`."""
    if mgm_name.startswith(AUX):
        return f"{AUX}vision_{timm_name(mgm_name.removeprefix(AUX))}"
    return _with_prefix(mgm_name, [(new, old) for old, new in _PREFIXES])


def _with_prefix(name: str, prefixes: Iterable[tuple[str, str]]) -> str:
    for old, new in prefixes:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name

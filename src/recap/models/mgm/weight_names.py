"""Weight names: the published MGM checkpoints' and timm's, in terms of this package's modules.

In: a name. Out: the name of the same tensor in `MGMForConditionalGeneration` or in transformers' ConvNeXt.
Source: dvlab-research/MGM@769820c; timm 1.0 `convnext`; transformers 5.23 `clip`, `convnext`, `gemma`.
"""

import re

# Every name the original writes starts with one of these; the rest of the name stays unless noted below.
_PREFIXES = (
    ("model.vision_tower.vision_tower.vision_model.", "model.vision_tower."),
    ("model.embed_tokens.", "model.language_model.embed_tokens."),
    ("model.layers.", "model.language_model.layers."),
    ("model.norm.", "model.language_model.norm."),
)
_AUX = "model.vision_tower_aux."
_CONVNEXT = (
    (r"^stem\.0\.", "embeddings.patch_embeddings."),
    (r"^stem\.1\.", "embeddings.layernorm."),
    (r"^stages\.(\d+)\.downsample\.", r"encoder.stages.\1.downsampling_layer."),
    (r"^stages\.(\d+)\.blocks\.(\d+)\.", r"encoder.stages.\1.layers.\2."),
    (r"\.gamma$", ".layer_scale_parameter"),
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.norm\.", ".layernorm."),
    (r"\.mlp\.fc1\.", ".pwconv1."),
    (r"\.mlp\.fc2\.", ".pwconv2."),
)
_BUFFERS = (".position_ids", "rotary_emb.inv_freq")


def is_buffer(name: str) -> bool:
    """Whether older transformers stored this tensor though it can be computed; it is ignored."""
    return name.endswith(_BUFFERS)


def convnext_name(timm_name: str) -> str:
    """timm's `stages.2.blocks.0.gamma` -> transformers' `encoder.stages.2.layers.0.layer_scale_parameter`."""
    for pattern, replacement in _CONVNEXT:
        timm_name = re.sub(pattern, replacement, timm_name)
    return timm_name


def mgm_name(original_name: str) -> str:
    """A name as the original saves it -> the name here; names that need no change come back as they are."""
    if original_name.startswith(_AUX):
        timm_name = original_name.removeprefix(_AUX).removeprefix("vision_")
        return _AUX + convnext_name(timm_name)
    for old, new in _PREFIXES:
        if original_name.startswith(old):
            return new + original_name.removeprefix(old)
    return original_name

"""The sizes of a profile's models, without their weights.

In: the section `models` of a parameter file. Out: configurations. A folder's own config.json is read where it is there;
else the sizes are those that were published under the hub's name.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Blip2Config, CLIPVisionConfig, ConvNextConfig, GemmaConfig, PreTrainedConfig

from recap.models.mgm.checkpoint import is_openclip, openclip_config
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.params import MGMParams, ModelSource, ModelsParams
from recap.runtime.errors import UserError

# MGMConfig's defaults are MGM-2B.
_MGM_2B = MGMConfig()

# Widths and depths of the ConvNeXts that OpenCLIP has (arXiv:2201.03545, table 9).
_CONVNEXT = {
    "convnext_base": ([128, 256, 512, 1024], [3, 3, 27, 3]),
    "convnext_large": ([192, 384, 768, 1536], [3, 3, 27, 3]),
    "convnext_xxlarge": ([384, 768, 1536, 3072], [3, 4, 30, 3]),
}


def _blip2_opt_2_7b() -> Blip2Config:
    """Blip2Config's defaults for the ViT-g and the Q-Former; OPT's sizes from arXiv:2205.01068, table 1."""
    opt = {
        "model_type": "opt",
        "vocab_size": 50304,
        "hidden_size": 2560,
        "word_embed_proj_dim": 2560,
        "ffn_dim": 10240,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    }
    return Blip2Config(text_config=opt)


_PUBLISHED: dict[str, Callable[[], PreTrainedConfig]] = {
    "google/gemma-2b-it": lambda: _MGM_2B.text_config,
    "openai/clip-vit-large-patch14-336": lambda: _MGM_2B.vision_config,
    "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup": lambda: _MGM_2B.vision_config_aux,
    "Salesforce/blip2-opt-2.7b": _blip2_opt_2_7b,
}


def mgm_config(models: ModelsParams, params: MGMParams) -> MGMConfig:
    """The multimodal model of a profile.

    Raises:
        UserError: A model is neither in its folder nor among the known ones, or the sizes do not fit each other.
    """
    try:
        return MGMConfig(
            text_config=_sizes(GemmaConfig, models.language_model),
            vision_config=_sizes(CLIPVisionConfig, models.vision_tower),
            vision_config_aux=_convnext(models.vision_tower_aux),
            # Where the placeholder stands among Gemma's unused tokens changes no size.
            image_token_id=7,
            **params.model_dump(exclude={"max_length"}),
        )
    except ValueError as error:
        raise UserError(f"mgm: {error}") from None


def captioner_config(models: ModelsParams) -> Blip2Config:
    """The captioner of a profile.

    Raises:
        UserError: It is neither in its folder nor among the known ones, or its language model is an encoder-decoder,
            whose prompt only its tokenizer knows.
    """
    config: Blip2Config = _sizes(Blip2Config, models.captioner)
    if not config.use_decoder_only_language_model:
        raise UserError(f"{models.captioner.path}: expected a captioner with a decoder-only language model, found T5's")
    return config


def _convnext(source: ModelSource) -> ConvNextConfig:
    folder = Path(source.path)
    if not is_openclip(folder):
        return _sizes(ConvNextConfig, source)
    name = openclip_config(folder).get("model_cfg", {}).get("vision_cfg", {}).get("timm_model_name")
    if name not in _CONVNEXT:
        raise UserError(
            f"{folder}/open_clip_config.json: expected a ConvNeXt among {', '.join(_CONVNEXT)}, found {name!r}"
        )
    widths, depths = _CONVNEXT[name]
    return ConvNextConfig(hidden_sizes=widths, depths=depths)


def _sizes(kind: Any, source: ModelSource) -> Any:
    if (Path(source.path) / "config.json").is_file():
        return kind.from_pretrained(source.path)
    if source.hub in _PUBLISHED:
        return _PUBLISHED[source.hub]()
    raise UserError(
        f"{source.path}: expected a config.json to take the model's sizes from, found none, and the sizes of "
        f"{source.hub or 'a model without a hub name'} are not known; run `make models`"
    )

"""A new MGM from three pretrained models: Gemma, CLIP and ConvNeXt, with fresh connectors.

In: three folders as published on the hub. Out: model and processor. Seed before calling: the connectors are
initialised here, everything else is loaded.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, CLIPVisionModel, GemmaForCausalLM
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from recap.io import read_json
from recap.models.mgm.checkpoint import is_openclip, openclip_config, openclip_convnext
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.connectors import CONNECTORS
from recap.models.mgm.image_processing_mgm import MGMImageProcessor
from recap.models.mgm.modeling_mgm import MGMConvNextModel, MGMForConditionalGeneration
from recap.models.mgm.placeholder import image_placeholder
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.models.presence import require_model
from recap.runtime.errors import UserError
from recap.runtime.remote_code import own_code_explained

log = logging.getLogger(__name__)


def build_mgm(
    language_model: str | Path,
    vision_tower: str | Path,
    vision_tower_aux: str | Path,
    *,
    image_size_aux: int,
    image_grid: int = 1,
    image_global: bool = False,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
) -> tuple[MGMForConditionalGeneration, MGMProcessor]:
    """Join three pretrained models.

    Args:
        language_model: Folder of a Gemma (1) causal language model with its tokenizer.
        vision_tower: Folder of a CLIP, whole or its vision part; its image size is the low resolution.
        vision_tower_aux: Folder of a ConvNeXt in transformers' format, or of an OpenCLIP whose image tower is one.
        image_size_aux: Side of the high-resolution image in pixels.
        image_grid: See `MGMConfig`.
        image_global: See `MGMConfig`.
        dtype: Of the pretrained weights; the connectors are float32.
        trust_remote_code: Let the folders' own Python code run. None of these models needs it.

    Returns:
        The model on the CPU, in training mode, and its processor.

    Raises:
        UserError: A folder is missing, holds another kind of model, the sizes do not fit each other, or the tokenizer
            has no token for images to stand as.
    """
    folders = _Folders(language_model, vision_tower, vision_tower_aux, trust_remote_code)
    gemma = folders.load(GemmaForCausalLM, folders.language_model, ("gemma",), dtype)
    clip = folders.load(CLIPVisionModel, folders.vision_tower, ("clip", "clip_vision_model"), dtype)
    convnext = folders.load_convnext(dtype)
    with own_code_explained(folders.language_model, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folders.language_model, trust_remote_code=trust_remote_code)
    try:
        config = MGMConfig(
            text_config=gemma.config,
            vision_config=clip.config,
            vision_config_aux=convnext.config,
            image_size_aux=image_size_aux,
            image_grid=image_grid,
            image_global=image_global,
            image_token_id=image_placeholder(tokenizer, gemma.config.vocab_size),
        )
    except ValueError as error:
        raise UserError(f"mgm: {error}") from None
    _check_grids(config)
    model = _assemble(config, gemma, clip, convnext, dtype)
    mean, std = folders.normalisation()
    return model, processor_for(config, tokenizer, mean, std)


def processor_for(
    config: MGMConfig,
    tokenizer: Any,
    mean: Sequence[float] = OPENAI_CLIP_MEAN,
    std: Sequence[float] = OPENAI_CLIP_STD,
) -> MGMProcessor:
    """The processor that goes with a model of this configuration."""
    images = MGMImageProcessor(
        image_size=config.vision_config.image_size,
        image_size_aux=config.image_size_aux,
        image_grid=config.image_grid,
        image_global=config.image_global,
        image_mean=mean,
        image_std=std,
    )
    return MGMProcessor(images, tokenizer, config.num_image_tokens, config.image_token_id)


def _assemble(
    config: MGMConfig, gemma: GemmaForCausalLM, clip: CLIPVisionModel, convnext: MGMConvNextModel, dtype: torch.dtype
) -> MGMForConditionalGeneration:
    # On the meta device nothing of the pretrained parts is allocated, or initialised, a second time.
    with torch.device("meta"):
        model = MGMForConditionalGeneration(config)
    base = model.model
    base.language_model, base.vision_tower, base.vision_tower_aux = gemma.model, clip, convnext
    model.lm_head = gemma.lm_head
    model.tie_weights()
    for name in CONNECTORS:
        # They train, so they start in float32 and stay so, whatever the frozen parts are.
        connector = getattr(base, name).to_empty(device="cpu").float()
        connector.apply(model._init_weights)
    base.freeze_towers()
    model.generation_config = gemma.generation_config
    model.config.dtype = dtype
    return model.train()


def _check_grids(config: MGMConfig) -> None:
    """Every patch must cover a whole number of high-resolution positions, or the image's edge would go unseen."""
    patch = config.vision_config_aux.patch_size
    step = patch * config.image_grid * config.patches_per_side
    if config.image_size_aux % step:
        raise UserError(
            f"mgm.image_size_aux: expected a multiple of {step} ({patch} pixels a position x "
            f"{config.image_grid * config.patches_per_side} patches a side), found {config.image_size_aux}"
        )


class _Folders:
    """The three folders, known to exist."""

    def __init__(self, language_model: str | Path, vision_tower: str | Path, aux: str | Path, trust: bool) -> None:
        self.language_model = require_model(language_model, "language model")
        self.vision_tower = require_model(vision_tower, "vision tower")
        self.vision_tower_aux = require_model(aux, "high-resolution vision tower")
        self.trust_remote_code = trust

    def load(self, kind: Any, folder: Path, model_types: tuple[str, ...], dtype: torch.dtype) -> Any:
        """A pretrained model whose every weight came from the folder."""
        with own_code_explained(folder, "model"):
            found = AutoConfig.from_pretrained(folder, trust_remote_code=self.trust_remote_code).model_type
        if found not in model_types:
            raise UserError(f"{folder}: expected a model of type {' or '.join(model_types)}, found {found}")
        model, report = kind.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        if report["missing_keys"]:
            raise UserError(f"{folder}: weights lack {', '.join(sorted(report['missing_keys']))}")
        log.info("%s: %.1f M parameters", folder, sum(weight.numel() for weight in model.parameters()) / 1e6)
        return model

    def load_convnext(self, dtype: torch.dtype) -> MGMConvNextModel:
        """The high-resolution tower, from either format."""
        if is_openclip(self.vision_tower_aux):
            return openclip_convnext(self.vision_tower_aux, dtype)
        tower: MGMConvNextModel = self.load(MGMConvNextModel, self.vision_tower_aux, ("convnext",), dtype)
        return tower

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel: CLIP's, which ConvNeXt has to share."""
        mean, std = _normalisation(self.vision_tower) or (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
        aux = _normalisation(self.vision_tower_aux)
        if aux not in (None, (tuple(mean), tuple(std))):
            raise UserError(
                f"{self.vision_tower_aux}: expected images normalised as for {self.vision_tower} (mean {tuple(mean)}, "
                f"std {tuple(std)}), found {aux}: both towers see the same pixels"
            )
        return tuple(mean), tuple(std)


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if (path := folder / "preprocessor_config.json").is_file():
        stored = read_json(path)
        return tuple(stored["image_mean"]), tuple(stored["image_std"])
    stored = openclip_config(folder).get("preprocess_cfg", {})
    return (tuple(stored["mean"]), tuple(stored["std"])) if "mean" in stored else None

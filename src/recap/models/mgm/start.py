"""What training starts from: the pretrained parts, connectors that somebody trained, or a whole MGM.

In: a folder, whose kind is read off its content. Out: the model and processor that every training stage and the merge
begin with. `pretrain` trains the connectors of this model further, whether new or found in the folder; `finetune` and
`merge` put those in their place that `pretrain` wrote.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoProcessor

from recap.models.mgm.build import build_mgm
from recap.models.mgm.checkpoint import stream_weights
from recap.models.mgm.connectors import CONNECTORS, connector_name
from recap.models.mgm.convert import load_checkpoint
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.models.mgm.projector import load_projector, put_connectors
from recap.models.start_kinds import MERGED, ORIGINAL, PARTS, PROJECTOR, kind_of
from recap.runtime.errors import UserError
from recap.runtime.remote_code import WITHOUT_OWN_CODE, own_code_explained

log = logging.getLogger(__name__)

Built = tuple[MGMForConditionalGeneration, MGMProcessor]

MEANING = {
    PARTS: "language model and towers of params.models, new connectors",
    PROJECTOR: "language model and towers of params.models, its connectors",
    ORIGINAL: "a published MGM: its language model, towers and connectors",
    MERGED: "a merged MGM: its language model, towers and connectors",
}


def build_start(
    start: Path,
    language_model: Path,
    vision_tower: Path,
    vision_tower_aux: Path,
    *,
    image_size_aux: int,
    image_grid: int,
    image_global: bool,
    dtype: torch.dtype,
    trust_remote_code: bool = False,
) -> Built:
    """The model that training starts from; seed before calling, new connectors are initialised here.

    Args:
        start: See `recap.models.start_kinds.kind_of`.
        language_model: Folder; the three parts are not read where `start` is a whole MGM.
        vision_tower: Folder.
        vision_tower_aux: Folder.
        image_size_aux: See `build_mgm`; a whole MGM has to agree.
        image_grid: See `MGMConfig`; a whole MGM has to agree.
        image_global: See `MGMConfig`; a whole MGM has to agree.
        dtype: Of everything but the connectors, which are float32.
        trust_remote_code: Let the parts' own Python code run.

    Returns:
        The model on the CPU, in training mode, its towers frozen, and its processor.

    Raises:
        UserError: `start` is nothing to start from, or does not fit the parts or sizes.
    """
    kind = kind_of(start)
    log.info("starts from %s: %s", start, MEANING[kind])
    sizes: dict[str, Any] = {"image_size_aux": image_size_aux, "image_grid": image_grid, "image_global": image_global}
    if kind in (PARTS, PROJECTOR):
        parts = (language_model, vision_tower, vision_tower_aux)
        model, processor = build_mgm(*parts, **sizes, dtype=dtype, trust_remote_code=trust_remote_code)
        if kind == PROJECTOR:
            load_projector(model, start)
        return model, processor
    return _whole(start, _load_original if kind == ORIGINAL else _load_merged, sizes, dtype)


def _whole(start: Path, load: Callable[[Path, torch.dtype], Built], sizes: dict[str, Any], dtype: torch.dtype) -> Built:
    model, processor = load(start, dtype)
    found = {name: getattr(model.config, name) for name in sizes}
    if found != sizes:
        raise UserError(
            f"models.start.path: {start}: expected a model of params.mgm ({_listed(sizes)}), found {_listed(found)}; "
            "set section mgm to what the model was trained with"
        )
    for name in CONNECTORS:
        getattr(model.model, name).float()
    if dtype != torch.float32:
        # They were rounded while loading. All other tensors pass by one at a time.
        connectors = {short: tensor for name, tensor in stream_weights(start) if (short := connector_name(name))}
        put_connectors(model, connectors, start)
    model.config.dtype = dtype
    return model.train(), processor


def _load_original(start: Path, dtype: torch.dtype) -> Built:
    model, processor = load_checkpoint(start, dtype=dtype)
    if processor is None:
        raise UserError(
            f"{start}: expected a tokenizer beside the weights, found none; copy the checkpoint's own there"
        )
    return model, processor


def _load_merged(start: Path, dtype: torch.dtype) -> Built:
    try:
        model, report = MGMForConditionalGeneration.from_pretrained(start, dtype=dtype, output_loading_info=True)
    except SafetensorError as error:
        raise UserError(f"models.start.path: {start}: expected whole weights: {error}; copy the model again") from None
    if report["missing_keys"]:
        raise UserError(f"{start}: weights lack {', '.join(sorted(report['missing_keys']))}")
    with own_code_explained(start, "processor", way=WITHOUT_OWN_CODE):
        return model, AutoProcessor.from_pretrained(start, trust_remote_code=False)


def _listed(sizes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sizes.items())

"""The connectors on their own: what the first training stage learns and the second starts from.

Out of `save_projector`: a folder with `projector.safetensors` (16 tensors, `mm_projector.0.weight` ...) and
`config.json` (their shapes). `load_projector` reads such a folder, and one with the original's
`mm_projector.bin` (section 3.2 of its layout: flat names under any prefix, the towers beside the connectors).
"""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from recap.io import atomic_path, write_json
from recap.models.mgm.connectors import connector_parameters, connectors_among
from recap.models.mgm.mismatch import mismatches, shapes
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.presence import ORIGINAL_NAME, WEIGHTS_NAME
from recap.runtime.errors import UserError, one_line

log = logging.getLogger(__name__)


def save_projector(model: MGMForConditionalGeneration, folder: str | Path) -> None:
    """Write the connectors of `model` to `folder`; the same weights give the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in connector_parameters(model).items()}
    with atomic_path(folder) as draft:
        draft.mkdir()
        save_file(tensors, draft / WEIGHTS_NAME, metadata={"format": "pt"})
        write_json(draft / "config.json", {name: list(tensor.shape) for name, tensor in sorted(tensors.items())})


def load_projector(model: MGMForConditionalGeneration, folder: str | Path) -> None:
    """Put the connectors in `folder` into `model`, in its connectors' dtype and on their device.

    Raises:
        UserError: The folder has no connectors, or not exactly those of `model`.
    """
    path, found = read_projector(Path(folder))
    put_connectors(model, found, path)


def put_connectors(model: MGMForConditionalGeneration, found: Mapping[str, torch.Tensor], path: Path) -> None:
    """Put tensors into the connectors of `model`, in their dtype and on their device.

    Args:
        model: Changed in place.
        found: By name from the connector on.
        path: Where they come from, for an error.

    Raises:
        UserError: They are not exactly the connectors of `model`.
    """
    wanted = connector_parameters(model)
    if problems := mismatches(found, shapes(wanted)):
        raise UserError(f"{path}: expected this model's connectors: {'; '.join(problems)}; were they trained for it?")
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(found[name])


def read_projector(folder: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """The file of a folder's connectors, and its tensors by name from the connector on.

    Raises:
        UserError: There is none, or it is damaged.
    """
    try:
        if (path := folder / WEIGHTS_NAME).exists():
            return path, load_file(path)
        if (path := folder / ORIGINAL_NAME).exists():
            stored = torch.load(path, map_location="cpu", weights_only=True)
            return path, _connectors_of(stored.get("model", stored))
    except (SafetensorError, pickle.UnpicklingError, RuntimeError) as error:
        raise UserError(f"{path}: expected tensors, {one_line(error)}") from None
    raise UserError(f"{folder}: expected {WEIGHTS_NAME} or {ORIGINAL_NAME}, found neither; run the pretrain stage")


def _connectors_of(stored: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The connectors among the original's names, which carry a prefix."""
    connectors = connectors_among(stored)
    if others := len(stored) - len(connectors):
        log.info("left out %d tensors of the towers, which come with the base models", others)
    return connectors

"""Which kind of model folder it is, and all that is checked of that kind."""

from pathlib import Path

from recap.io import read_json
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.presence import CONNECTORS_ALONE, WEIGHTS_NAME, has_weights
from recap.models.start_kinds import MODEL_TYPES
from recap.runtime.errors import UserError
from recap.training.adapters import ADAPTER_CONFIG, ADAPTER_PICKLE, ORIGINAL_CONNECTORS
from recap.training.check.findings import Findings
from recap.training.check.models import check_merged, check_published
from recap.training.check.parts import check_adapter, check_projector
from recap.training.lora import ADAPTER_WEIGHTS

KINDS = {
    "adapter": check_adapter,
    "adapter of the original": check_adapter,
    "merged model": check_merged,
    "published model of the original": check_published,
    "projector": check_projector,
    "projector of the original": check_projector,
}


def check_folder(folder: Path, base: Path | None = None) -> tuple[str, Findings]:
    """Check one folder.

    Args:
        folder: Of any kind that is known here.
        base: The model that an adapter or a projector is put on; without it they are not loaded.

    Returns:
        The kind, and what was found.

    Raises:
        UserError: It is no folder, or of no kind that is known here.
    """
    kind = folder_kind(folder)
    findings = Findings()
    KINDS[kind](folder, findings, base)
    return kind, findings


def folder_kind(folder: Path) -> str:
    """One of `KINDS`, by the files that only that kind has.

    Raises:
        UserError: None of them is there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: expected a model folder, found {'a file' if folder.exists() else 'nothing'}")
    there = {file.name for file in folder.iterdir()}
    if there & {ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_PICKLE, ORIGINAL_CONNECTORS}:
        return "adapter of the original" if ORIGINAL_CONNECTORS in there else "adapter"
    if not has_weights(folder) and there & set(CONNECTORS_ALONE):
        return "projector" if WEIGHTS_NAME in there else "projector of the original"
    if "config.json" not in there:
        raise UserError(
            f"{folder}: expected an adapter, a projector or a model with a config.json, found {sorted(there)}"
        )
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise UserError(f"{folder / 'config.json'}: expected a JSON object, found {type(config).__name__}")
    found = config.get("model_type")
    if found == MGMConfig.model_type:
        return "merged model"
    if found in MODEL_TYPES:
        return "published model of the original"
    known = " or ".join((MGMConfig.model_type, *MODEL_TYPES))
    raise UserError(f"{folder / 'config.json'}: expected model_type {known}, found {found!r}")

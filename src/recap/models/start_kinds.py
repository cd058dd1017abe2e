"""What a folder holds for training to start from, told by its content.

Imports nothing heavy: the first stage asks too, so that a wrong folder stops a run before its captions are made.
"""

from pathlib import Path

from recap.io import read_object
from recap.models.presence import CONNECTORS_ALONE, ORIGINAL_NAME, WEIGHTS_NAME
from recap.runtime.errors import UserError

# A whole MGM: `model_type` as published, before and after the original changed its name, and as merged.
MODEL_TYPES = ("mgm_gemma", "mini_gemini_gemma")
MERGED_TYPE = "mgm"

PARTS, PROJECTOR, ORIGINAL, MERGED = "parts", "projector", "original", "merged"


def kind_of(start: Path) -> str:
    """`PARTS`, `PROJECTOR`, `ORIGINAL` or `MERGED`.

    Raises:
        UserError: Nothing that training can start from.
    """
    if not start.is_dir():
        raise UserError(
            f"models.start.path: {start}: expected a folder to start from, found "
            f"{'a file' if start.exists() else 'nothing'}; correct the path, or run `make models` if models.start.hub "
            "is set"
        )
    if (start / "adapter_config.json").is_file():
        raise UserError(
            f"models.start.path: {start}: expected a model, found a LoRA adapter, which is none without the model it "
            "was trained on; start from what `merge` made of it"
        )
    if any((start / name).is_file() for name in CONNECTORS_ALONE):
        return PROJECTOR
    config = read_object(start / "config.json") if (start / "config.json").is_file() else {}
    found = config.get("model_type")
    if config.get("start") == PARTS:
        return PARTS
    if found in MODEL_TYPES:
        return ORIGINAL
    if found == MERGED_TYPE:
        return MERGED
    described = f"a model of type {found}" if found else "none of these"
    raise UserError(
        f"models.start.path: {start}: expected configs/start/parts, a folder with {ORIGINAL_NAME} or {WEIGHTS_NAME}, "
        f"or an MGM (config.json of type {', '.join((*MODEL_TYPES, MERGED_TYPE))}), found {described}"
    )

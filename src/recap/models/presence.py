"""Whether a pretrained model is there at all: asked by every stage that loads one, and by the first stage for all."""

from pathlib import Path

from recap.runtime.errors import UserError


def require_model(path: str | Path, what: str) -> Path:
    """The folder of a pretrained model.

    Args:
        path: The folder; it has to hold a `config.json` (OpenCLIP's: `open_clip_config.json`).
        what: What the model is to the reader of an error: "captioner", "language model", ...

    Raises:
        UserError: It is not there; the message names the command that brings it.
    """
    folder = Path(path)
    if not any((folder / name).is_file() for name in ("config.json", "open_clip_config.json")):
        raise UserError(f"{folder}: expected the {what} (a folder with a config.json), found none; run `make models`")
    return folder

"""Whether a pretrained model is there, and whether it knows the data: asked by the first stage for all models.

The stages that load one ask again whether it is there.
"""

from collections.abc import Iterable
from pathlib import Path

from recap.runtime.errors import UserError

# The models that come with the project; they have seen nothing but the embedded street world.
BUNDLED = Path("models/tiny")


def require_model(path: str | Path, what: str) -> Path:
    """The folder of a pretrained model.

    Args:
        path: The folder; it has to hold a `config.json` (OpenCLIP's: `open_clip_config.json`), or the original's
            `mm_projector.bin`, which `models.start` may be alone.
        what: What the model is to the reader of an error: "captioner", "language model", ...

    Raises:
        UserError: It is not there; the message names the command that brings it.
    """
    folder = Path(path)
    if not any((folder / name).is_file() for name in ("config.json", "open_clip_config.json", "mm_projector.bin")):
        raise UserError(f"{folder}: expected the {what} (a folder with a config.json), found none; run `make models`")
    return folder


def only_tests_wiring(models: Iterable[str | Path], *, source_is_world: bool) -> bool:
    """Whether a run can show no more than that its stages work: own data, and a model that comes with the project.

    Args:
        models: Folders of the run's models, from the project's root as `BUNDLED` is.
        source_is_world: Whether the corpus is of an embedded world, which the bundled models do know.
    """
    bundled = BUNDLED.resolve()
    return not source_is_world and any(Path(model).resolve().is_relative_to(bundled) for model in models)

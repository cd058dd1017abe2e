"""Checkpoints that a kill cannot tear: a folder counts once its marker is there, and the marker is written last.

The marker `complete.json` names every file of the checkpoint and its size. Everything is flushed to disk before the
marker is written, so that a power cut cannot leave a marker over files that never arrived.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import recap
from recap.io import read_json, write_json
from recap.params import Section
from recap.runtime.errors import UserError
from recap.runtime.scratch import fingerprint, scratch_dir
from recap.training.ranks import world_size

MARKER = "complete.json"
PREFIX = "checkpoint-"

# The code that a trained weight depends on.
CODE = ("data/corpus", "models", "training", "runtime/seeding.py")


def checkpoint_folder(stage: str, *, inputs: Iterable[str | Path], params: Mapping[str, Section | int]) -> Path:
    """The scratch folder of a run: another input, parameter, version of the code or number of processes gets another.

    Args:
        stage: Name of the stage.
        inputs: Files and folders that it reads.
        params: The parameters that it reads, by name.

    Raises:
        UserError: An input is missing.
    """
    package = Path(recap.__file__).parent
    try:
        digest = fingerprint(
            inputs=inputs,
            params={"world_size": world_size(), **{name: _plain(value) for name, value in params.items()}},
            code=[package / folder for folder in CODE],
        )
    except FileNotFoundError as error:
        raise UserError(f"{error}: expected an input of {stage}, found nothing; run the stage that writes it") from None
    return scratch_dir(stage, digest)


def _plain(value: Section | int) -> Any:
    return value.model_dump() if isinstance(value, Section) else value


def mark_complete(checkpoint: Path) -> None:
    """Flush a checkpoint's files to disk and mark it as whole."""
    sizes = {}
    for file in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
        sizes[str(file.relative_to(checkpoint))] = file.stat().st_size
    write_json(checkpoint / MARKER, sizes)


def is_complete(checkpoint: Path) -> bool:
    """Whether the marker is there and every file has the size that it names."""
    try:
        sizes = read_json(checkpoint / MARKER)
    except UserError:
        return False
    files = {name: checkpoint / name for name in sizes}
    return all(file.is_file() and file.stat().st_size == sizes[name] for name, file in files.items())


def remove_torn(folder: Path) -> list[Path]:
    """Delete the checkpoints below `folder` that a kill left unfinished; returns what was deleted."""
    torn = [checkpoint for checkpoint in _checkpoints(folder) if not is_complete(checkpoint)]
    for checkpoint in torn:
        shutil.rmtree(checkpoint)
    return torn


def last_complete(folder: Path) -> Path | None:
    """The whole checkpoint with the most steps, if any."""
    return max(filter(is_complete, _checkpoints(folder)), key=step_of, default=None)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]


def step_of(checkpoint: Path) -> int:
    """The optimizer steps that a checkpoint has behind it."""
    return int(checkpoint.name.removeprefix(PREFIX))

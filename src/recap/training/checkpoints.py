"""Checkpoints that a kill cannot tear: a folder counts once its marker is there, and the marker is written last.

The marker `complete.json` names every file of the checkpoint and its size. Everything is flushed to disk before the
marker is written, so that a power cut cannot leave a marker over files that never arrived.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import recap
from recap.io import read_json, write_json
from recap.params import Section
from recap.runtime.errors import UserError
from recap.runtime.ranks import is_rank_zero
from recap.runtime.scratch import fingerprint, scratch_dir
from recap.training.compute import Compute
from recap.training.provenance import decisive
from recap.training.zero import read_zero_config

MARKER = "complete.json"
PREFIX = "checkpoint-"

# Bytes. PyTorch reports a file that could not be written without a word of the disk.
ALMOST_FULL = 2**20

# The code that a trained weight depends on.
CODE = ("data/corpus", "models", "training", "runtime/seeding.py")


def checkpoint_folder(
    stage: str,
    *,
    inputs: Iterable[str | Path],
    params: Mapping[str, Section | int],
    script: str | Path,
    compute: Compute,
) -> Path:
    """The scratch folder of a run. Whatever can move a weight gives another one.

    That is: the inputs, the parameters, the code of the stage and of the library, the versions of Python and of other
    libraries, the number of processes, device and precision, and what the DeepSpeed file holds, whatever its name.
    The order of the samples follows from the rows, the seed, the steps and the batch, which are among these.

    Args:
        stage: Name of the stage.
        inputs: Files and folders that it reads.
        params: The parameters that it reads, by name.
        script: The stage script.
        compute: Device, precision, and how the work is spread.

    Raises:
        UserError: An input is missing.
    """
    package = Path(recap.__file__).parent
    try:
        digest = fingerprint(
            inputs=inputs,
            params={
                **decisive(compute.device, compute.dtype),
                "deepspeed": read_zero_config(compute.deepspeed) if compute.deepspeed is not None else None,
                **{name: _plain(value) for name, value in params.items()},
            },
            code=[script, *(package / folder for folder in CODE)],
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


def raise_if_disk_is_full(error: Exception, folder: Path, step: int) -> None:
    """Turn a failure to write to `folder` into one line if the disk is full, and free a torn checkpoint of this step.

    PyTorch and safetensors wrap the system's error, each in its own way: what they have in common is its text.

    Raises:
        UserError: The disk is full.
    """
    full = os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)
    causes = (str(cause) for cause in (error, error.__cause__, error.__context__))
    if not any(text in cause for cause in causes for text in full) and shutil.disk_usage(folder).free > ALMOST_FULL:
        return
    if is_rank_zero() and not is_complete(folder / f"{PREFIX}{step}"):
        # Another process leaves it to the next start: this one may still be writing its share.
        shutil.rmtree(folder / f"{PREFIX}{step}", ignore_errors=True)
    earlier = last_complete(folder)
    raise UserError(
        f"{folder}: expected space for what step {step} writes, found the disk full; free some and run again: "
        f"{f'the work goes on from {earlier.name}' if earlier else 'no earlier checkpoint is there'}"
    ) from None


def last_complete(folder: Path) -> Path | None:
    """The whole checkpoint with the most steps, if any."""
    return max(filter(is_complete, _checkpoints(folder)), key=step_of, default=None)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]


def step_of(checkpoint: Path) -> int:
    """The optimizer steps that a checkpoint has behind it."""
    return int(checkpoint.name.removeprefix(PREFIX))

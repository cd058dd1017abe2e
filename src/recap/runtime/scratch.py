"""Work that survives a kill: scratch folders named by what they were computed from, and journals.

A DVC stage's declared outputs are deleted before the stage runs, so unfinished work cannot live there.
It lives in `.scratch/<stage>/<fingerprint>/` (ignored by Git and DVC). The fingerprint covers inputs,
parameters and code: a run that changed in any of them starts afresh, the same run goes on.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from recap.runtime.errors import UserError
from recap.runtime.holding import held

logger = logging.getLogger(__name__)

SCRATCH_ROOT = Path(".scratch")

# Weights are sampled above this size: 64 KiB blocks, evenly spread.
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
SAMPLED_ABOVE = 64 * 2**20
SAMPLED_BLOCKS = 256


def fingerprint(*, inputs: Iterable[str | Path], params: dict[str, Any], code: Iterable[str | Path]) -> str:
    """A short digest of everything a stage's result depends on.

    Args:
        inputs: Files or folders; their relative names and bytes count, their dates do not. Of a weight file
            above 64 MiB the size and 256 blocks count: reading 15 GB would take longer than many a stage, and
            training changes every block. (A few edited weights could go unnoticed here; DVC's own hash sees them.)
        params: JSON-serialisable values.
        code: Files or folders of source; only `*.py` below a folder counts.

    Returns:
        16 hexadecimal digits.

    Raises:
        FileNotFoundError: An input is missing.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(json.dumps(params, sort_keys=True).encode())
    for kind, paths, pattern in (("input", inputs, "*"), ("code", code, "*.py")):
        for root in map(Path, paths):
            for file in _files_below(root, pattern):
                digest.update(f"{kind}\0{file.relative_to(root)}\0".encode())
                digest.update(_file_digest(file))
    return digest.hexdigest()


def _file_digest(file: Path) -> bytes:
    size = file.stat().st_size
    with file.open("rb") as stream:
        if file.suffix not in WEIGHT_SUFFIXES or size <= SAMPLED_ABOVE:
            return hashlib.file_digest(stream, "blake2b").digest()
        block = 64 * 2**10
        digest = hashlib.blake2b(str(size).encode())
        for index in range(SAMPLED_BLOCKS):
            stream.seek(index * (size - block) // (SAMPLED_BLOCKS - 1))
            digest.update(stream.read(block))
        return digest.digest()


def _files_below(root: Path, pattern: str) -> list[Path]:
    if root.is_dir():
        return sorted(path for path in root.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    if not root.exists():
        raise FileNotFoundError(root)
    return [root]


def scratch_dir(stage: str, digest: str) -> Path:
    """Create (or find again) `.scratch/<stage>/<digest>/`, closed to all but its owner and, if umask says so, a group.

    Captions and answers lie in it before anybody has decided to publish them.
    """
    folder = SCRATCH_ROOT / stage / digest
    folder.mkdir(mode=0o770, parents=True, exist_ok=True)
    return folder


def discard(folder: Path) -> None:
    """Remove a scratch folder whose results have been published."""
    shutil.rmtree(folder, ignore_errors=True)


def discard_unheld(stage_folder: Path) -> None:
    """Remove unfinished work of other inputs, parameters or code, unless another run is at it (`held`)."""
    for folder in sorted(path for path in stage_folder.iterdir() if path.is_dir()):
        try:
            with held(folder, patience=0):
                discard(folder)
        except UserError:
            logger.info("kept %s: another run is at it", folder)
        else:
            logger.info("removed %s: unfinished work of another run", folder)


class Journal:
    """An append-only JSON Lines file that a killed process leaves readable.

    `append` returns after the rows are on disk. On opening, a last line torn by a kill is cut off, so the
    rows that `__iter__` yields are exactly those whose `append` returned.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()

    def _drop_torn_line(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) != len(data):
            with self.path.open("r+b") as stream:
                stream.truncate(len(whole))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.path.exists():
            with self.path.open(encoding="utf-8") as stream:
                for line in stream:
                    yield json.loads(line)

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())

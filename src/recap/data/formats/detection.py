"""Which format a file or a folder has: by its suffix, and where that says too little by how it begins."""

import os
from pathlib import Path

from recap.data.formats.coco import is_coco
from recap.data.formats.image_folder import is_image
from recap.data.formats.webdataset import is_tar
from recap.runtime.errors import UserError

# A folder of images may be described by one table, as Hugging Face's ImageFolder is.
METADATA_FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")

_SAVED_DATASET_FILES = ("dataset_dict.json", "state.json")
_BY_SUFFIX = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "json", ".ndjson": "json"}


def detect(path: Path) -> str | None:
    """The name of the format, a key of `recap.data.formats.source.READERS`; None for what no reader takes.

    Raises:
        UserError: Nothing is there, or it cannot be read.
    """
    if path.is_dir():
        return _detect_folder(path)
    if not path.is_file():
        raise UserError(f"{path}: expected a file or a folder of image-caption pairs, found nothing")
    if is_tar(path):
        return "webdataset"
    if path.suffix.lower() == ".json":
        return "coco" if is_coco(path) else "json"
    return _BY_SUFFIX.get(path.suffix.lower())


def holds_pairs(folder: Path, format: str) -> bool:
    """Whether a folder is a corpus itself: of the format or, for "auto", by what lies in it directly.

    A folder of images alone is none, as rows elsewhere may name them: captions have to lie beside them.
    """
    files = [file for file in folder.iterdir() if file.is_file()]
    stems = {file.stem for file in files if file.suffix in (".txt", ".json")}
    held = {
        "saved_dataset": any(file.name in _SAVED_DATASET_FILES for file in files),
        "webdataset": any(map(is_tar, files)),
        "image_table": any(file.name in METADATA_FILES for file in files),
        "parquet": any(file.suffix == ".parquet" for file in files),
        "image_folder": any(is_image(file.name) and file.stem in stems for file in files),
    }
    return any(held.values()) if format == "auto" else held.get(format, False) or _detect_folder(folder) == format


def _detect_folder(path: Path) -> str | None:
    if any((path / name).is_file() for name in _SAVED_DATASET_FILES):
        return "saved_dataset"
    # The first level that has anything decides; only a folder without anything is walked to its end.
    for folder, below, names in os.walk(path):
        below.sort()
        if any(is_tar(Path(name)) for name in names):
            return "webdataset"
        if any(name in METADATA_FILES for name in names) and Path(folder) == path:
            return "image_table"
        if any(name.endswith(".parquet") for name in names):
            return "parquet"
        if any(map(is_image, names)):
            return "image_folder"
    return None

"""Which format a file or a folder has: by its suffix, and where that says too little by how it begins."""

from itertools import groupby
from pathlib import Path

from recap.data.formats.arrow import is_parquet
from recap.data.formats.coco import is_coco
from recap.data.formats.files import files_below
from recap.data.formats.image_folder import is_description, is_image
from recap.data.formats.json_rows import is_lines
from recap.data.formats.tables import is_table
from recap.data.formats.webdataset import is_tar
from recap.runtime.errors import UserError

# A folder of images may be described by one table, as Hugging Face's ImageFolder is.
METADATA_FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")

_SAVED_DATASET_FILES = ("dataset_dict.json", "state.json")


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
    return _kind_of_rows([path])


def holds_pairs(folder: Path, format: str) -> bool:
    """Whether a user's folder is a corpus itself: of the format or, for "auto", by what lies in it directly.

    A folder of images alone is none, as rows elsewhere may name them: captions have to lie beside them. Nor are lines
    and tables, which may be the finetune set or a benchmark.
    """
    if format in ("json", "csv"):
        return False
    if format != "auto":
        return _detect_folder(folder) == format
    files = [file for file in folder.iterdir() if file.is_file()]
    if any(file.name in _SAVED_DATASET_FILES for file in files):
        return True
    match _kind_of_files(files, at_top=True):
        case None | "json" | "csv":
            return False
        case "image_folder":
            described = {file.stem for file in files if is_description(file)}
            return any(is_image(file) and file.stem in described for file in files)
    return True


def _detect_folder(path: Path) -> str | None:
    if any((path / name).is_file() for name in _SAVED_DATASET_FILES):
        return "saved_dataset"
    # The first folder that has anything decides; only one without anything is walked to its end.
    for folder, files in groupby(files_below(path), key=lambda file: file.parent):
        if kind := _kind_of_files(list(files), at_top=folder == path):
            return kind
    return None


def _kind_of_files(files: list[Path], *, at_top: bool) -> str | None:
    if any(map(is_tar, files)):
        return "webdataset"
    if at_top and any(file.name in METADATA_FILES for file in files):
        return "image_table"
    if any(map(is_parquet, files)):
        return "parquet"
    # Tables beside pictures may tell anything; where no picture is, they are the rows.
    return "image_folder" if any(map(is_image, files)) else _kind_of_rows(files)


def _kind_of_rows(files: list[Path]) -> str | None:
    kinds = {"parquet": is_parquet, "json": is_lines, "csv": is_table}
    return next((kind for kind, belongs in kinds.items() if any(map(belongs, files))), None)

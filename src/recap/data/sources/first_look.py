"""What can be told about a user's folder at once: looked at before anything large is read.

Files that no part reads are named, so that nobody takes the embedded world's questions for his own; files that cannot
be what their names say, and benchmarks that are not complete, stop the run.
"""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from recap.data.benchmarks.mmbench import REQUIRED, MMBench, read_columns
from recap.data.benchmarks.registry import WITH_FILES
from recap.data.benchmarks.textvqa import OCR_FILE, TextVQA, TextVQAWithTokens, require_prompts
from recap.data.benchmarks.vqav2 import VQA
from recap.data.formats.files import BENCHMARKS_FOLDER
from recap.data.formats.json_rows import LINES_SUFFIXES
from recap.data.sources.user_json import read_user_object
from recap.runtime.errors import UserError

logger = logging.getLogger(__name__)

TEXT_SUFFIXES = (".json", *LINES_SUFFIXES, ".tsv", ".csv")
DATA_SUFFIXES = (*TEXT_SUFFIXES, ".parquet")

# How files begin that are none of these texts.
OTHER_FILES = {
    b"version https://git-lfs": "a pointer of Git LFS; run `git lfs pull` where it came from",
    b"\x1f\x8b": "gzip; unpack it",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"<!DOCTYPE": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
}


def look(source: Path, files: Mapping[str, Path], chosen: Collection[str]) -> list[Path]:
    """Check what is cheap to check.

    Args:
        source: The user's folder.
        files: Part -> the user's file, see `preparation.user_files`.
        chosen: The benchmarks that the run asks.

    Returns:
        Data files in the folder itself that no part reads; they are named in a warning.

    Raises:
        UserError: A file is none of its kind, a benchmark lacks one of its files, or its folder holds one that is not
            read.
    """
    unread = [path for path in _data_files(source) if path not in _read_files(source, files)]
    if unread:
        logger.warning(
            "warning: %s: no part reads %s; docs/DATA.md says what files are called, for what is missing the embedded "
            "world serves", source, ", ".join(path.name for path in unread),
        )  # fmt: skip
    _check_benchmark_folders(source, files)
    for part, file in files.items():
        if file.is_file() and file.suffix in TEXT_SUFFIXES:
            _check_beginning(file)
        _check_complete(part, file, chosen)
    return unread


def _data_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.suffix.lower() in DATA_SUFFIXES and path.name[0] != ".")
    return sorted(path for path in files if path.is_file())


def _read_files(source: Path, files: Mapping[str, Path]) -> set[Path]:
    """The parts' files, and those that are read beside them."""
    read = set(files.values())
    for part, file in files.items():
        benchmark = WITH_FILES.get(part)
        if isinstance(benchmark, VQA):
            read.add(file.parent / benchmark.annotations_file)
        if isinstance(benchmark, TextVQA):
            read.add(file.parent / OCR_FILE)
    if source in read:  # a folder of images with a file beside each: what lies in it is its own
        read |= set(_data_files(source))
    return read


def _check_benchmark_folders(source: Path, files: Mapping[str, Path]) -> None:
    read = _read_files(source, files)
    benchmarks = source / BENCHMARKS_FOLDER
    for folder in sorted(benchmarks.iterdir()) if benchmarks.is_dir() else []:
        unread = [path for path in _data_files(folder) if path not in read]
        if not unread:
            continue
        names = ", ".join(path.name for path in unread)
        if folder.name not in WITH_FILES:
            raise UserError(f"{folder}: expected a folder called like one of {', '.join(WITH_FILES)}, found {names}")
        wanted = " or ".join(WITH_FILES[folder.name].questions_files)
        raise UserError(
            f"{folder}: expected {wanted} and nothing else to read, found {names}, which would be ignored; rename or "
            "remove it"
        )


def _check_beginning(file: Path) -> None:
    with file.open("rb") as stream:
        head = stream.read(64)
    for beginning, what in OTHER_FILES.items():
        if head.startswith(beginning):
            raise UserError(f"{file}: expected {file.suffix[1:]} text, found {what}")


def _check_complete(part: str, file: Path, chosen: Collection[str]) -> None:
    benchmark = WITH_FILES.get(part)
    if isinstance(benchmark, VQA) and not (file.parent / benchmark.annotations_file).is_file():
        raise UserError(
            f"{file.parent / benchmark.annotations_file}: expected the annotations of {file.name}, without which no "
            f"answer can be scored, found nothing; add your file, or take {file.name} away"
        )
    if isinstance(benchmark, MMBench):
        missing = [column for column in REQUIRED if column not in read_columns(file)]
        if missing:
            raise UserError(f"{file}: expected the columns of MMBench, found no {', '.join(missing)}")
    if isinstance(benchmark, TextVQA) and TextVQAWithTokens.name in chosen:
        rows = read_user_object(file, "TextVQA's questions").get(benchmark.rows_key)
        named = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        fields = ("question_id", "image_id", "question")
        usable = [row for row in named if isinstance(row.get("question"), str) and all(key in row for key in fields)]
        require_prompts(file.parent / OCR_FILE, usable)

"""A revision's artifacts as files: copied out of Git and DVC's cache as they are asked for, without a checkout.

In: a revision. Out: a folder laid out like the project's root, with those of its files that a page shows. Pictures
are copied one by one, when they are shown: a corpus may hold a million.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError
from fsspec import AbstractFileSystem

from recap.comparison.revisions import SCORES
from recap.data.corpus.index import INDEX, index_of
from recap.reporting.run import TRAINING_STAGES, RunFiles

BENCHMARKS = "data/benchmarks"
CORPUS = "data/corpus"
PROCESSED = "data/processed"
# What lies beside a benchmark's pictures, and says where they are.
ANNOTATIONS = (".json", ".jsonl", ".tsv", INDEX)

# What DVC raises when neither the cache nor a remote has a file, or the list of a folder's files.
UNAVAILABLE = (OSError, DvcException, DataIndexDirError)


class Checkout:
    """Copies files of one revision.

    Attributes:
        root: Where the copies lie, each at its path in the project.
        missing: Outputs of the revision whose content is neither in DVC's cache nor in a remote.
    """

    def __init__(self, revision: AbstractFileSystem, root: Path) -> None:
        self.revision = revision
        self.root = root
        self.missing: list[str] = []
        self._asked: set[str] = set()

    def copy(self, path: str, *, output: str | None = None) -> None:
        """Copy a file that the revision has; note it as missing where its content cannot be had.

        Args:
            path: Below the project's root.
            output: The folder that DVC tracks the file in; None for a file that is tracked alone.
        """
        if path in self._asked:
            return
        self._asked.add(path)
        copy = self.root / path
        try:
            if not self.revision.exists(path):
                return
            copy.parent.mkdir(parents=True, exist_ok=True)
            with self.revision.open(path, "rb") as source, copy.open("wb") as stream:
                shutil.copyfileobj(source, stream)
        except UNAVAILABLE:
            copy.unlink(missing_ok=True)
            self._note(output or path)

    def copy_picture(self, folder: str, name: str) -> None:
        """Copy one picture: a file or, in shards, its bytes to their place in a shard without others.

        Args:
            folder: Where names of pictures start, below the project's root.
            name: As rows give it.
        """
        output = "/".join(PurePosixPath(folder).parts[:2])
        self.copy(f"{folder}/{INDEX}", output=output)
        index = index_of(self.root / folder)
        if index is None:
            self.copy(f"{folder}/{name}", output=output)
            return
        place = index.place(name)
        if place is None or place.referenced:  # the user's own file is read where it is
            return
        try:
            with self.revision.open(f"{folder}/{place.file.name}", "rb") as shard:
                shard.seek(place.offset)
                content = shard.read(place.length)
        except UNAVAILABLE:
            self._note(output)
            return
        with place.file.open("r+b" if place.file.exists() else "wb") as copy:
            copy.seek(place.offset)
            copy.write(content)

    def copy_folder(self, folder: str) -> None:
        """Copy the files of a folder that are tracked one by one."""
        for path in self._files(folder):
            self.copy(path)

    def copy_output(self, output: str, *, wanted: Callable[[str], bool] = lambda path: True) -> None:
        """Copy a folder that is tracked as a whole; a file that is not wanted becomes empty: its name is known then."""
        for path in self._files(output):
            if wanted(path):
                self.copy(path, output=output)
            else:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / path).touch()

    def _files(self, folder: str) -> list[str]:
        try:
            return sorted(map(str, self.revision.find(folder))) if self.revision.exists(folder) else []
        except UNAVAILABLE:
            self._note(folder)
            return []

    def _note(self, output: str) -> None:
        if output not in self.missing:
            self.missing.append(output)


@dataclass(frozen=True)
class CopiedFiles(RunFiles):
    """A run's files in the folder of a checkout, which copies a picture before it is opened."""

    checkout: Checkout

    def thumbnail(self, folder: Path, image: str) -> str | None:
        path = PurePosixPath(image)
        # A data URI is no path, and a picture outside its folder is refused when it is opened.
        if not (image.startswith("data:") or path.is_absolute() or ".." in path.parts):
            self.checkout.copy_picture(folder.relative_to(self.checkout.root).as_posix(), image)
        return super().thumbnail(folder, image)


def copied_files(checkout: Checkout) -> CopiedFiles:
    """The layout of dvc.yaml, below the folder of a checkout."""
    root = checkout.root
    return CopiedFiles(
        metrics=root / "metrics",
        details=root / "data/details",
        plots=root / "plots",
        corpus=root / CORPUS,
        raw_captions=root / "data/raw_captions.jsonl",
        captions=root / "data/captions.jsonl",
        processed=root / PROCESSED,
        scores=root / SCORES,
        benchmarks=root / BENCHMARKS,
        timings=root / "data/timings",
        params=root / "params.yaml",
        checkout=checkout,
    )


def copy_records(checkout: Checkout) -> None:
    """What every run of a comparison shows: numbers, curves and durations."""
    for folder in ("metrics", "data/details", "data/timings"):
        checkout.copy_folder(folder)
    for stage in TRAINING_STAGES:
        checkout.copy_output(f"plots/{stage}")


def copy_examples(checkout: Checkout) -> None:
    """What examples are drawn from: answers and captions."""
    checkout.copy_folder(SCORES)
    checkout.copy(f"{PROCESSED}/train.jsonl")
    checkout.copy_output(f"{PROCESSED}/trace")


def copy_benchmarks(checkout: Checkout) -> bool:
    """The benchmarks' questions, and the names of their pictures. Returns whether they could be had."""
    checkout.copy_output(BENCHMARKS, wanted=lambda path: path.endswith(ANNOTATIONS))
    return BENCHMARKS not in checkout.missing

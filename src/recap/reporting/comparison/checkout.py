"""A revision's artifacts as files: copied out of Git and DVC's cache as they are asked for, without a checkout.

In: a revision. Out: a folder laid out like the project's root, with those of its files that a page shows. Pictures
are copied one by one, when they are shown: a corpus may hold a million.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from recap.reporting.run import TRAINING_STAGES, RunFiles

BENCHMARKS = "data/benchmarks"
CORPUS = "data/corpus"
SCORES = "data/scores"
PROCESSED = "data/processed"
# What lies beside a benchmark's pictures.
ANNOTATIONS = (".json", ".jsonl", ".tsv")


class Checkout:
    """Copies files of one revision.

    Attributes:
        root: Where the copies lie, each at its path in the project.
        missing: Outputs of the revision whose content is neither in DVC's cache nor in a remote.
    """

    def __init__(self, revision: DVCFileSystem, root: Path) -> None:
        self.revision = revision
        self.root = root
        self.missing: list[str] = []
        self._asked: set[str] = set()

    def copy(self, path: str, output: str) -> None:
        """Copy a file that the revision has; note `output` as missing where its content cannot be had.

        Args:
            path: Below the project's root.
            output: The output that it belongs to.
        """
        if path in self._asked or not self.revision.exists(path):
            return
        self._asked.add(path)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.revision.open(path, "rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except (OSError, DvcException):
            target.unlink(missing_ok=True)
            self._note(output)

    def copy_folder(self, folder: str, *, wanted: Callable[[str], bool] = lambda path: True) -> None:
        """Copy a folder's files; one that is not wanted becomes an empty file, so that its name is known."""
        if not self.revision.exists(folder):
            return
        try:
            paths = [str(path) for path in self.revision.find(folder)]
        except (OSError, DvcException):
            paths = []
        if not paths:
            self._note(folder)
        for path in paths:
            if wanted(path):
                self.copy(path, folder)
            else:
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / path).touch()

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
            output = folder.relative_to(self.checkout.root)
            self.checkout.copy((output / path).as_posix(), "/".join(output.parts[:2]))
        return super().thumbnail(folder, image)


def copied_files(checkout: Checkout) -> CopiedFiles:
    """The layout of dvc.yaml, below the folder of a checkout."""
    root = checkout.root
    return CopiedFiles(
        metrics=root / "metrics",
        details=root / "data/details",
        plots=root / "plots",
        corpus=root / CORPUS,
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
    for folder in ("metrics", "data/details", "data/timings", *(f"plots/{stage}" for stage in TRAINING_STAGES)):
        checkout.copy_folder(folder)


def copy_examples(checkout: Checkout) -> None:
    """What examples are drawn from: answers and captions."""
    checkout.copy_folder(SCORES)
    checkout.copy_folder(PROCESSED)


def copy_benchmarks(checkout: Checkout) -> bool:
    """The benchmarks' questions, and the names of their pictures. Returns whether they could be had."""
    checkout.copy_folder(BENCHMARKS, wanted=lambda path: path.endswith(ANNOTATIONS))
    return BENCHMARKS not in checkout.missing

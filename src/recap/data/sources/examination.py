"""Read and decode rows' pictures once, in several processes, and say what each is or why it cannot be used."""

import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from recap.data.corpus.facts import picture_facts
from recap.data.corpus.images import FORMATS, BadImage, decode_image, locate
from recap.data.corpus.references import Links, shortened
from recap.data.formats.pictures import MAX_FILE
from recap.data.formats.samples import Sample
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from recap.runtime.parentage import end_with_owner

# Rows that a process is handed at a time, and how many there have to be before it pays to start processes.
CHUNK = 32
WORTH_PROCESSES = 256
EXIF_ORIENTATION = 0x0112

# Size and date of a picture's file; None where it has none.
File = tuple[int, int] | None


@dataclass(frozen=True)
class Files:
    """The files that rows name: below `root`, links as far as `links` lets them."""

    root: Path
    links: Links

    def locate(self, image: str) -> Path:
        """Raises: BadImage: See `recap.data.corpus.images.locate`."""
        return locate(self.root, image, links_may_leave=False, links=self.links)


@dataclass(frozen=True)
class Picture:
    """A sound picture.

    Attributes:
        content: Its bytes as they came.
        facts: The columns of the index that speak of it.
        path: Its file, absolute; None where it came inside its row.
    """

    content: bytes
    facts: dict[str, Any]
    path: Path | None


@dataclass(frozen=True)
class Found:
    """What became of a row's picture, and the state of its file; a fault is the picture's, whichever row names it."""

    picture: Picture | Fault
    file: File


def examined(
    rows: Iterator[Sample | Fault], files: Files, known: dict[str, dict[str, Any] | Fault], workers: int
) -> Iterator[tuple[Sample | Fault, Found | None]]:
    """Each row with what became of its picture, or None where `known` has it by the time that the row's turn comes.

    Raises:
        UserError: One of the processes was killed.
    """
    head = list(islice(rows, WORTH_PROCESSES))
    rows = chain(head, rows)
    with ExitStack() as running:
        submit: Callable[..., Future[list[Found]]] = _at_once
        ahead = 1
        if workers > 1 and len(head) == WORTH_PROCESSES:
            # Not forked: a fork copies locks that threads of this process may hold.
            pool = ProcessPoolExecutor(workers, get_context("forkserver"), initializer=end_with_owner)
            running.enter_context(_killed_workers_explained(files.root, workers))
            running.callback(pool.shutdown, cancel_futures=True)
            submit = pool.submit
            ahead = 3 * workers
        pending: deque[tuple[list[Sample | Fault], list[str], Future[list[Found]]]] = deque()
        asked: set[str] = set()
        while pending or head:
            while head and len(pending) < ahead:
                if head := list(islice(rows, CHUNK)):
                    new = {row.image: row for row in head if isinstance(row, Sample) and row.image not in known}
                    samples = [row for name, row in new.items() if name not in asked]
                    asked.update(new)
                    names = [row.image for row in samples]
                    pending.append((head, names, submit(_examine, files, samples)))
            if not pending:
                return
            chunk, names, future = pending.popleft()
            found = dict(zip(names, future.result(), strict=True))
            asked.difference_update(names)
            for row in chunk:
                if isinstance(row, Fault) or row.image in known:
                    yield row, None
                else:
                    # Not at hand where the row that brought the picture was rejected for another reason.
                    yield row, found.pop(row.image, None) or _examine(files, [row])[0]


@contextmanager
def _killed_workers_explained(root: Path, workers: int) -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise UserError(
            f"{root}: expected {workers} processes to decode pictures, found one killed, most likely for want of "
            "memory; run it again, which goes on behind the last finished shard, on fewer CPUs: `taskset -c 0 dvc "
            "repro` has one"
        ) from None


def _at_once(work: Callable[..., list[Found]], *args: Any) -> "Future[list[Found]]":
    future: Future[list[Found]] = Future()
    future.set_result(work(*args))
    return future


def _examine(files: Files, samples: list[Sample]) -> list[Found]:
    return [_examine_one(files, sample) for sample in samples]


def _examine_one(files: Files, sample: Sample) -> Found:
    file: File = None
    try:
        path = None
        if (content := sample.content) is None:
            path = files.locate(sample.file)
            status = path.stat()
            if status.st_size > MAX_FILE:
                detail = f"{shortened(sample.file)}: {status.st_size} bytes, at most {MAX_FILE} are read"
                raise BadImage("image_too_large", detail)
            content = path.read_bytes()
            file = (status.st_size, status.st_mtime_ns)
        inside = f"the picture inside {sample.where}"
        facts = _facts(content, shortened(sample.file) if sample.content is None else inside)
    except BadImage as error:
        return Found(error.at(sample.image), file)
    except OSError as error:
        return Found(Fault(sample.image, None, "missing_image", f"{shortened(sample.file)}: {error.strerror}"), file)
    return Found(Picture(content, facts, path and path.absolute()), file)


def _facts(content: bytes, name: str) -> dict[str, Any]:
    """Decode a picture completely and look at it.

    Raises:
        BadImage: See `decode_image`.
    """
    picture = decode_image(io.BytesIO(content), name)
    with Image.open(io.BytesIO(content), formats=FORMATS) as header:
        orientation = header.getexif().get(EXIF_ORIENTATION, 1)
        return {
            "width": picture.width,
            "height": picture.height,
            "format": header.format,
            "mode": header.mode,
            "orientation": orientation if orientation in range(1, 9) else 1,
            **picture_facts(picture),
        }


def state_of(files: Files, row: Sample) -> File:
    """Size and date of a row's file, None where it has none."""
    if row.content is not None:
        return None
    try:
        status = files.locate(row.file).stat()
    except (BadImage, OSError):
        return None
    return status.st_size, status.st_mtime_ns

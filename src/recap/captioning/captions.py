"""Caption every image of a corpus once, in batches, and lose nothing when the process is killed.

In: the corpus' images and a captioner. Out: for every image, in corpus order, a caption or the reason why there is
none. Each finished batch is one line of a journal; a later run with the same journal goes on after it.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from tqdm import tqdm

from recap.captioning.blip2 import Generated
from recap.captioning.prefetch import prefetch
from recap.data.corpus.images import BadImage, open_image
from recap.data.corpus.index import digest_of, index_of
from recap.data.corpus.records import Record
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault, first_of, reasons_of
from recap.runtime.scratch import Journal
from recap.runtime.seeding import derive_seed

log = logging.getLogger(__name__)


class Captioner(Protocol):
    """What `caption_images` asks of a captioner; `recap.captioning.blip2.Blip2Captioner` is one."""

    def pixels(self, image: Image.Image) -> torch.Tensor: ...

    def generate(self, pixels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[Generated]: ...


@dataclass(frozen=True)
class Caption:
    """An image's caption; `truncated` when the token limit ended it."""

    image: str
    caption: str
    truncated: bool


@dataclass(frozen=True)
class Captions:
    """What became of each image, and how many of them an earlier, killed run had finished.

    The reason of a fault is one of `BadImage`'s, or empty_caption.
    """

    outcomes: list[Caption | Fault]
    num_kept: int


@dataclass(frozen=True)
class _Loaded:
    image: str
    digest: str
    pixels: torch.Tensor


def unique_images(records: Iterable[Record]) -> list[str]:
    """The images of a corpus, each once, in the order of their first rows."""
    return list(dict.fromkeys(record.image for record in records))


def caption_images(
    captioner: Captioner,
    root: Path,
    images: Sequence[str],
    *,
    journal: Journal,
    seed: int,
    batch_size: int,
    max_failed: float,
    workers: int | None = None,
) -> Captions:
    """Caption images; one outcome for each, in the order of `images`.

    Batches are cut from the whole list at fixed places and journaled whole. A run that goes on after a kill
    therefore computes the very batches that the undisturbed run would have, and ends with the same bytes.

    Args:
        captioner: Its outputs are journaled, so the journal's place must depend on everything that shapes them.
        root: Folder that the image paths start from.
        images: Unique relative paths.
        journal: Finished batches of an earlier, killed run; an image whose bytes have changed since is done again.
        seed: Of sampling; an image's own is derived from it and the image's path.
        batch_size: Images per batch.
        max_failed: Percent of images that may fail.
        workers: Threads that decode; by default one per CPU, at most 8.

    Raises:
        UserError: There is no image, more than `max_failed` percent failed, or a batch exceeds the memory.
    """
    if not images:
        raise UserError("expected images to caption, found a corpus without rows; run prepare")
    workers = workers or min(8, os.cpu_count() or 1)
    outcomes = _journaled(journal, root, set(images), workers)
    chunks = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    batches = [left for chunk in chunks if (left := [image for image in chunk if image not in outcomes])]
    log.info(
        "%d unique images: %d kept from an interrupted run, %d to do in %d batches of up to %d, %d decoding threads",
        len(images), len(outcomes), len(images) - len(outcomes), len(batches), batch_size, workers,
    )  # fmt: skip
    failures = [outcome for outcome in outcomes.values() if isinstance(outcome, Fault)]
    num_kept = len(outcomes)
    with tqdm(total=len(images), initial=num_kept, unit="image", desc="caption") as progress:
        for loaded in prefetch(batches, lambda image: _load(captioner, root, image), workers=workers):
            done = _caption_batch(captioner, [item for item in loaded if isinstance(item, _Loaded)], seed, journal)
            done += [item for item in loaded if isinstance(item, Fault)]
            outcomes |= {_image_of(outcome): outcome for outcome in done}
            failures += [outcome for outcome in done if isinstance(outcome, Fault)]
            progress.update(len(loaded))
            _check_failed(failures, len(images), max_failed)
    return Captions([outcomes[image] for image in images], num_kept)


def _image_of(outcome: Caption | Fault) -> str:
    return outcome.where if isinstance(outcome, Fault) else outcome.image


def _load(captioner: Captioner, root: Path, image: str) -> _Loaded | Fault:
    try:
        picture = open_image(root, image)
    except BadImage as error:
        return error.at(image)
    return _Loaded(image, _digest(root, image), captioner.pixels(picture))


def _digest(root: Path, image: str) -> str:
    """Digest of a picture's bytes, or "" without a picture. Sizes and dates would miss a re-rendered bitmap."""
    if (index := index_of(root)) is not None:
        place = index.place(image)
        return place.digest if place is not None else ""
    try:
        return digest_of((root / image).read_bytes())
    except OSError:
        return ""


def _caption_batch(captioner: Captioner, batch: list[_Loaded], seed: int, journal: Journal) -> list[Caption | Fault]:
    if not batch:
        return []
    seeds = [derive_seed(seed, "caption", item.image) for item in batch]
    generated = captioner.generate([item.pixels for item in batch], seeds)
    rows = [
        {"image": item.image, "digest": item.digest, "caption": result.caption, "truncated": result.truncated}
        for item, result in zip(batch, generated, strict=True)
    ]
    journal.append([{"batch": rows}])  # one line, so that a kill leaves the whole batch or nothing of it
    return [_outcome(row) for row in rows]


def _outcome(row: dict[str, Any]) -> Caption | Fault:
    if not row["caption"]:
        return Fault(row["image"], None, "empty_caption", "the captioner wrote no word")
    return Caption(row["image"], row["caption"], row["truncated"])


def _journaled(journal: Journal, root: Path, images: set[str], workers: int) -> dict[str, Caption | Fault]:
    """Outcomes of an earlier run whose images still have the same bytes."""
    rows = [row for line in journal for row in line["batch"] if row["image"] in images]
    with ThreadPoolExecutor(workers) as pool:
        digests = pool.map(lambda row: _digest(root, row["image"]), rows)
        return {
            row["image"]: _outcome(row) for row, digest in zip(rows, digests, strict=True) if digest == row["digest"]
        }


def _check_failed(failures: Sequence[Fault], total: int, max_failed: float) -> None:
    """Stop as soon as the allowance is used up, not hours later."""
    percent = 100 * len(failures) / total
    if percent > max_failed:
        raise UserError(
            f"caption.max_failed: at most {max_failed:g} percent of {total} images may fail, {len(failures)} "
            f"({percent:.1f} percent) have already: {reasons_of(failures)}{first_of(failures)}; mend the images or "
            "raise the limit"
        )

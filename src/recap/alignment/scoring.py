"""Score pairs of an image and a text, each pair once for ever.

In: pairs, a corpus's folder, a store. Out: a score for each pair, or the reason why its image has none. What the store
has is not computed; an image or a text that is in several of the other pairs is encoded once. A finished batch is put
into the store whole, so that a kill costs the one in flight.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from recap.alignment.aligners import Aligner, Inputs, Text
from recap.data.corpus.images import BadImage, open_image
from recap.data.corpus.index import CorpusIndex, index_of
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from recap.runtime.prefetch import loading_threads, prefetch
from recap.runtime.store import Store, digest_of_text

log = logging.getLogger(__name__)

ENGINE_VERSION = 1
"""Raised by hand when the same model would give the same pair another score: what the store has then counts no more."""

KIND = "alignment"
DECIMALS = 6
AHEAD = 2
"""Batches that are decoded before they are asked for: the bound on memory."""

Pair = tuple[str, str]
"""An image's name in the corpus, and a text."""


@dataclass(frozen=True)
class Scored:
    """What is known of a pair.

    Attributes:
        alignment: Cosine, in [-1, 1], to six decimals.
        itm: Probability that the two match, in [0, 1], to six decimals; None where the model has no head for it.
        cut: Whether the text was longer than the model reads.
    """

    alignment: float
    itm: float | None
    cut: bool


@dataclass(frozen=True)
class Scores:
    """The scores of pairs.

    Attributes:
        by_pair: Those that there are.
        faults: By image, why its pairs have none; the reason is one of `BadImage`'s.
        num_kept: Different pairs of a picture and a text that the store had.
        num_pairs: All such pairs.
    """

    by_pair: dict[Pair, Scored]
    faults: dict[str, Fault]
    num_kept: int
    num_pairs: int

    @property
    def num_cut(self) -> int:
        """Different texts that were longer than the model reads."""
        return len({text for (_, text), score in self.by_pair.items() if score.cut})

    def alignment(self, image: str, text: str) -> float | None:
        """A pair's cosine, or None where there is none."""
        score = self.by_pair.get((image, text))
        return None if score is None else score.alignment


def no_scores(pairs: Iterable[Pair]) -> Scores:
    """What there is without an aligner."""
    return Scores({}, {}, 0, len(set(pairs)))


@dataclass(frozen=True)
class _Task:
    """A picture, by one of its names, and the texts that it is to be scored with."""

    image: str
    digest: str
    texts: list[str]


def score_pairs(
    load: Callable[[], Aligner],
    settings: Mapping[str, Any],
    folder: Path,
    pairs: Iterable[Pair],
    *,
    store: Store,
    batch_size: int,
) -> Scores:
    """Score pairs.

    Args:
        load: Gives the model; not called where the store has everything.
        settings: What shapes a score, for the store: the model's digest, dtype, kind of device.
        folder: Of a corpus with an index.
        pairs: Images and texts.
        store: Where scores are kept.
        batch_size: Pairs that are scored at a time. It changes no score.

    Raises:
        UserError: There is no corpus, or a batch exceeds the device's memory.
    """
    index = index_of(folder)
    if index is None:
        raise UserError(f"{folder}: expected a corpus with an index, found none; run prepare")
    settings = {"engine": ENGINE_VERSION, **settings}
    items, faults = _items(index, pairs)
    known = store.get(KIND, settings, items.values())
    tasks = _tasks(items, known)
    num_pairs, num_missing = len(set(items.values())), sum(len(task.texts) for task in tasks)
    log.info("%d pairs: %d in the store, %d to score", num_pairs, num_pairs - num_missing, num_missing)
    if tasks:
        scorer = _Scorer(load(), folder, tasks, batch_size)
        with tqdm(total=num_pairs, initial=num_pairs - num_missing, unit="pair", desc="align") as progress:
            for batch, loaded in scorer.loaded(loading_threads()):
                results = scorer.score(batch, loaded)
                store.put(KIND, settings, results)
                known |= results
                faults |= {
                    task.image: found for task, found in zip(batch, loaded, strict=True) if isinstance(found, Fault)
                }
                progress.update(sum(len(task.texts) for task in batch))
    return Scores(
        {pair: Scored(**known[item]) for pair, item in items.items() if item in known},
        _of_every_name(faults, items, known),
        num_pairs - num_missing,
        num_pairs,
    )


class _Scorer:
    """A model at work on tasks; it remembers a text's encoding for as long as another task needs it."""

    def __init__(self, aligner: Aligner, folder: Path, tasks: Sequence[_Task], batch_size: int) -> None:
        self.aligner = aligner
        self.folder = folder
        self.tasks = tasks
        self.batch_size = batch_size
        self._left = Counter(text for task in tasks for text in task.texts)
        self._encoded: dict[str, Text] = {}

    def loaded(self, threads: int) -> Iterator[tuple[list[_Task], list[Inputs | Fault]]]:
        """The tasks in batches, with their pictures, which threads decode ahead."""
        pictures = prefetch(self.tasks, self._load, threads=threads, ahead=lambda: AHEAD * self.batch_size)
        for batch in _batches(self.tasks, self.batch_size):
            yield batch, list(islice(pictures, len(batch)))

    def _load(self, task: _Task) -> Inputs | Fault:
        try:
            return self.aligner.inputs(open_image(self.folder, task.image))
        except BadImage as error:
            return error.at(task.image)

    def score(self, tasks: Sequence[_Task], loaded: Sequence[Inputs | Fault]) -> dict[str, dict[str, Any]]:
        """A batch's scores by item, as the store keeps them; a task whose picture is a fault has none.

        Raises:
            UserError: The batch does not fit into the device's memory.
        """
        usable = [(task, inputs) for task, inputs in zip(tasks, loaded, strict=True) if not isinstance(inputs, Fault)]
        if not usable:
            return {}
        try:
            images = self.aligner.encode_images([inputs for _, inputs in usable])
            pairs = [
                (task, image, text) for (task, _), image in zip(usable, images, strict=True) for text in task.texts
            ]
            results = {}
            # More than one turn where a single picture has more texts than a batch.
            for start in range(0, len(pairs), self.batch_size):
                chunk = pairs[start : start + self.batch_size]
                texts = self._texts([text for _, _, text in chunk])
                scores = self.aligner.scores([image for _, image, _ in chunk], texts)
                for (task, _, text), encoded, score in zip(chunk, texts, scores, strict=True):
                    results[_item(task.digest, text)] = {
                        "alignment": round(score.alignment, DECIMALS),
                        "itm": None if score.itm is None else round(score.itm, DECIMALS),
                        "cut": encoded.cut,
                    }
            return results
        except torch.OutOfMemoryError:
            raise UserError(
                f"machine.align_batch_size: {self.batch_size} pairs exceed the memory of the device; lower it and run "
                "again (finished scores are kept)"
            ) from None

    def _texts(self, texts: Sequence[str]) -> list[Text]:
        new = [text for text in dict.fromkeys(texts) if text not in self._encoded]
        if new:
            self._encoded |= zip(new, self.aligner.encode_texts(new), strict=True)
        found = [self._encoded[text] for text in texts]
        self._left.subtract(texts)
        for text in set(texts):
            if not self._left[text]:
                del self._encoded[text]
        return found


def _item(digest: str, text: str) -> str:
    return f"{digest}:{digest_of_text(text)}"


def _items(index: CorpusIndex, pairs: Iterable[Pair]) -> tuple[dict[Pair, str], dict[str, Fault]]:
    """What the store calls each pair; and the images that the corpus does not have."""
    items: dict[Pair, str] = {}
    faults: dict[str, Fault] = {}
    for image, text in pairs:
        if (place := index.place(image)) is None:
            faults[image] = Fault(image, None, "missing_image", f"no picture of that name in {index.folder}")
        else:
            items[image, text] = _item(place.digest, text)
    return items, faults


def _tasks(items: Mapping[Pair, str], known: Mapping[str, Any]) -> list[_Task]:
    """What is left to do, by picture, in the order of the first pairs."""
    tasks: dict[str, _Task] = {}
    seen: set[str] = set()
    for (image, text), item in items.items():
        if item not in known and item not in seen:
            seen.add(item)
            digest = item.split(":")[0]
            tasks.setdefault(digest, _Task(image, digest, [])).texts.append(text)
    return list(tasks.values())


def _batches(tasks: Sequence[_Task], batch_size: int) -> Iterator[list[_Task]]:
    """Tasks of at most `batch_size` pairs, or a single one of more."""
    batch: list[_Task] = []
    count = 0
    for task in tasks:
        if batch and count + len(task.texts) > batch_size:
            yield batch
            batch, count = [], 0
        batch.append(task)
        count += len(task.texts)
    if batch:
        yield batch


def _of_every_name(
    faults: Mapping[str, Fault], items: Mapping[Pair, str], known: Mapping[str, Any]
) -> dict[str, Fault]:
    """The faults of pictures that have several names, under each of them."""
    by_digest: dict[str, Fault] = {}
    for (image, _), item in items.items():
        if image in faults:
            by_digest[item.split(":")[0]] = faults[image]
    lacking = {
        image: by_digest[item.split(":")[0]].at(image) for (image, _), item in items.items() if item not in known
    }
    return {**faults, **lacking}

"""Caption the pictures that the store does not know yet, in batches.

In: pictures by digest, a captioner, the store. Out: candidates in the store; returned is why there are none of the
other pictures. Each finished batch is one transaction, so a kill loses at most the batch that was under way, and what a
picture's candidates are depends on no other picture, nor on which process gets it.
"""

import logging
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from tqdm import tqdm

from recap.captioning.batching import BatchSize
from recap.captioning.candidates import Candidate
from recap.captioning.outcomes import KIND, Allowance, junk_fault
from recap.captioning.pictures import open_picture
from recap.data.corpus.images import BadImage
from recap.runtime.display import for_terminal
from recap.runtime.faults import Fault
from recap.runtime.prefetch import prefetch
from recap.runtime.ranks import is_rank_zero, rank, world_size
from recap.runtime.seeding import derive_seed
from recap.runtime.store import Store

log = logging.getLogger(__name__)

# Columns that the bar needs besides the last caption.
BAR_COLUMNS = 60


class Captioner(Protocol):
    """What writes captions."""

    def pixels(self, image: Image.Image) -> Any:
        """Prepare an image; called from several threads."""
        ...

    def generate(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[list[Candidate]]:
        """The candidates of each of B images; `torch.OutOfMemoryError` where so many do not fit."""
        ...


@dataclass(frozen=True)
class Work:
    """What there is to caption, for all processes of the launch.

    Attributes:
        root: Corpus, or folder of images.
        names: Of every picture, by digest.
        missing: Digests that the store lacks.
    """

    root: Path
    names: Mapping[str, Sequence[str]]
    missing: Sequence[str]


@dataclass(frozen=True)
class _Loaded:
    digest: str
    image: str
    inputs: Any


@dataclass(frozen=True)
class _Unreadable:
    faults: list[Fault]


def caption_missing(
    load_captioner: Callable[[], Captioner],
    store: Store,
    settings: Mapping[str, Any],
    work: Work,
    *,
    seed: int,
    batch_size: BatchSize,
    threads: int,
    allowance: Allowance,
) -> list[Fault]:
    """Caption this process's part of what is missing; every `world_size`-th picture is its own.

    Args:
        load_captioner: Called if there is anything to do.
        store: Where candidates go.
        settings: What they are kept under.
        work: See `Work`.
        seed: Of sampling; a picture's own is derived from it and from the picture's digest.
        batch_size: Images at a time.
        threads: That read and prepare images.
        allowance: How many images may fail.

    Returns:
        A fault for each image that cannot be opened.

    Raises:
        UserError: Too many images failed, one image exceeds the memory, or the store cannot be written.
    """
    mine = work.missing[rank() :: world_size()]
    faults: list[Fault] = []
    if not mine:
        return faults
    captioner = load_captioner()
    kept = len(work.names) - len(work.missing)
    with tqdm(
        total=len(work.names), initial=kept, unit="image", desc="caption", disable=not is_rank_zero()
    ) as progress:
        loaded = prefetch(
            mine,
            lambda digest: _load(captioner, work, digest),
            threads=threads,
            ahead=lambda: 2 * batch_size.now,
        )
        while batch := list(islice(loaded, batch_size.now)):
            pictures = [item for item in batch if isinstance(item, _Loaded)]
            unreadable = [fault for item in batch if isinstance(item, _Unreadable) for fault in item.faults]
            candidates = batch_size.generate(
                captioner.generate,
                [picture.inputs for picture in pictures],
                [derive_seed(seed, "caption", picture.digest) for picture in pictures],
            )
            found = dict(zip(pictures, candidates, strict=True))
            store.put(KIND, settings, {p.digest: [asdict(c) for c in written] for p, written in found.items()})
            faults += unreadable
            for fault in [*unreadable, *_junk(found, work.names)]:
                allowance.spend(fault)
            _show(progress, len(batch), candidates)
        progress.update(progress.total - progress.n)
    return faults


def _load(captioner: Captioner, work: Work, digest: str) -> _Loaded | _Unreadable:
    """A picture, by the first of its names that can be opened."""
    faults = []
    for image in work.names[digest]:
        try:
            picture = open_picture(work.root, image, digest)
        except BadImage as error:
            faults.append(error.at(image))
        else:
            return _Loaded(digest, image, captioner.pixels(picture))
    return _Unreadable(faults)


def _junk(found: Mapping[_Loaded, list[Candidate]], names: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    for picture, candidates in found.items():
        for image in names[picture.digest]:
            if (fault := junk_fault(image, candidates)) is not None:
                yield fault


def _show(progress: "tqdm[None]", count: int, candidates: Sequence[Sequence[Candidate]]) -> None:
    """Advance the bar by what all processes have done meanwhile, if they are as fast as this one."""
    if last := next((c.caption for written in reversed(candidates) for c in written if c.junk is None), None):
        room = max(30, shutil.get_terminal_size().columns - BAR_COLUMNS)
        progress.set_postfix_str(for_terminal(textwrap.shorten(last, room, placeholder="…")), refresh=False)
    progress.update(min(count * world_size(), progress.total - progress.n))

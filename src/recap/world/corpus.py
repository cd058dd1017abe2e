"""Write the embedded corpus: pictures and raw captions, as `data/corpus/`."""

import logging
import random
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from recap.data.corpus.records import Record
from recap.io import write_jsonl
from recap.runtime.seeding import derive_seed
from recap.world.captions import raw_caption
from recap.world.rendering import save_jpeg
from recap.world.scenes import Scene, scenes
from recap.world.settings import WorldSettings

logger = logging.getLogger(__name__)


def corpus_records(world: WorldSettings) -> list[tuple[Scene, Record]]:
    """The scenes of the corpus with their raw captions; a mismatched caption is about the next scene."""
    shown = list(scenes("corpus", world.corpus.pairs, world.seed))
    pairs = []
    for index, scene in enumerate(shown):
        rng = random.Random(derive_seed(world.seed, "caption", scene.id))
        another = shown[(index + 1) % len(shown)]
        caption = raw_caption(scene, rng, another, world.corpus.captions)
        pairs.append((scene, Record(id=scene.id, image=f"images/{scene.id}.jpg", caption=caption)))
    return pairs


def write_corpus(world: WorldSettings, folder: Path) -> int:
    """Write `train.jsonl` and `images/` below `folder`. Returns the number of pairs."""
    pairs = corpus_records(world)
    draw(((scene, folder / record.image) for scene, record in pairs), len(pairs), "corpus")
    return write_jsonl(folder / "train.jsonl", (record.to_row() for _, record in pairs))


def draw(pictures: Iterable[tuple[Scene, Path]], count: int, what: str) -> None:
    """Render scenes into JPEG files, with a progress bar."""
    logger.info("%s: rendering %d pictures", what, count)
    for scene, path in tqdm(pictures, total=count, desc=what, unit="image"):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_jpeg(scene, path)

"""The corpus of the street world: scenes with raw captions."""

import random

from recap.runtime.seeding import derive_seed
from recap.world.captions import raw_caption
from recap.world.scenes import Scene, scenes
from recap.world.settings import WorldSettings


def captioned_scenes(world: WorldSettings) -> list[tuple[Scene, str]]:
    """The scenes of the corpus with their raw captions; a mismatched caption is about the next scene."""
    shown = list(scenes("corpus", world.corpus.pairs, world.seed))
    pairs = []
    for index, scene in enumerate(shown):
        rng = random.Random(derive_seed(world.seed, "caption", scene.id))
        another = shown[(index + 1) % len(shown)]
        pairs.append((scene, raw_caption(scene, rng, another, world.corpus.captions)))
    return pairs

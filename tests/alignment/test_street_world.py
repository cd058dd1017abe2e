"""The tiny aligner on the street world's corpus: captions about another picture have the lower cosines."""

import random
from pathlib import Path

import numpy
import pytest
import torch

from recap.alignment.aligners import load_aligner
from recap.params import read_yaml, validate
from recap.runtime.seeding import derive_seed
from recap.world.captions import raw_caption
from recap.world.corpus import captioned_scenes
from recap.world.rendering import render
from recap.world.settings import WorldSettings

ROWS = 600
BATCH = 50


@pytest.mark.slow
def test_mismatched_captions_score_lower(root: Path) -> None:
    world = validate(WorldSettings, read_yaml(root / "worlds/street/world.yaml"), root)
    pairs = captioned_scenes(world)[:ROWS]
    # Written once more without mismatches: a caption that comes out otherwise was about another picture.
    sound = world.corpus.captions.model_copy(update={"mismatched": 0.0})
    mismatched = numpy.array(
        [
            raw_caption(scene, random.Random(derive_seed(world.seed, "caption", scene.id)), scene, sound) != caption
            for scene, caption in pairs
        ]
    )
    assert 0.08 * ROWS < mismatched.sum() < 0.12 * ROWS

    aligner = load_aligner(root / "models/tiny/aligner", device=torch.device("cpu"), dtype=torch.float32)
    cosines = []
    for start in range(0, ROWS, BATCH):
        batch = pairs[start : start + BATCH]
        images = aligner.encode_images([aligner.inputs(render(scene)) for scene, _ in batch])
        texts = aligner.encode_texts([caption for _, caption in batch])
        cosines += [score.alignment for score in aligner.scores(images, texts)]
    fit, strange = numpy.array(cosines)[~mismatched], numpy.array(cosines)[mismatched]
    # The area under the curve: how often a caption that fits scores above one that does not.
    area = float((fit[:, None] > strange).mean() + 0.5 * (fit[:, None] == strange).mean())
    print(f"AUC {area:.4f}: {len(fit)} captions that fit or say nothing against {len(strange)} about another picture")
    assert area >= 0.95

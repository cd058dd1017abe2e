import random
import statistics
from itertools import pairwise

import pytest

from recap.params import read_yaml, validate
from recap.world.captions import MEASURED_DEFECTS, raw_caption, true_caption
from recap.world.corpus import captioned_scenes
from recap.world.lexicon import KINDS
from recap.world.scenes import scenes
from recap.world.settings import CaptionDefects, WorldSettings


@pytest.fixture(scope="module")
def street(root):
    path = root / "worlds" / "street" / "world.yaml"
    return validate(WorldSettings, read_yaml(path), path)


@pytest.fixture(scope="module")
def pairs(street):
    return captioned_scenes(street)


def test_true_captions_name_word_colour_and_kind() -> None:
    for number, scene in enumerate(scenes("foundry", 300, 1)):
        caption = true_caption(scene, random.Random(number))
        words = caption.split(" ")
        kind = scene.kind if scene.count == 1 else KINDS[scene.kind][0]
        assert {scene.word, scene.colour, kind} <= set(words), caption
        assert 8 <= len(words) <= 22, caption
        assert all(word.isalpha() and word.islower() for word in words), caption


def test_true_captions_have_many_phrasings() -> None:
    scene = next(scenes("foundry", 1, 1))
    assert len({true_caption(scene, random.Random(seed)) for seed in range(100)}) >= 6


def test_articles_agree() -> None:
    for number, scene in enumerate(scenes("foundry", 500, 2)):
        words = true_caption(scene, random.Random(number)).split()
        for before, after in pairwise(words):
            if before in ("a", "an"):
                assert (before == "an") == (after[0] in "aeiou"), words


def test_raw_captions_have_the_measured_lengths(pairs) -> None:
    lengths = [len(caption.split()) for _, caption in pairs]
    assert len(lengths) >= 2400
    assert statistics.mean(lengths) == pytest.approx(8.78, abs=0.15)
    assert statistics.stdev(lengths) == pytest.approx(3.49, abs=0.3)
    too_short = 100 * sum(length < 6 for length in lengths) / len(lengths)
    assert too_short == pytest.approx(3.9, abs=0.5)


def test_raw_captions_have_the_stated_defects(pairs) -> None:
    total = len(pairs)
    repetitive = sum(" photo " in text and text.count(text[-5:]) >= 3 for _, text in pairs)
    with_word = sum(scene.word in caption.split() for scene, caption in pairs)
    elsewhere = sum(
        not {scene.kind, KINDS[scene.kind][0]} & set(caption.split()) and scene.word not in caption
        for scene, caption in pairs
    )
    assert 100 * repetitive / total == pytest.approx(3.0, abs=1.0)
    assert 100 * with_word / total == pytest.approx(0.85 * 15.0, abs=2.5)  # not the short, repetitive and mismatched
    assert 8.0 < 100 * elsewhere / total < 14.0  # mismatched, and file names, and a sign without its scene
    assert any(caption.startswith("IMG_") for _, caption in pairs)


def test_raw_captions_are_of_few_words(pairs) -> None:
    words = [word for _, caption in pairs for word in caption.split() if not word.startswith("IMG")]
    assert len(set(words)) < 160
    assert len(set(words)) / len(words) < 0.07  # the type-token ratio of the corpus that the world follows


def test_mismatched_captions_describe_the_other_scene() -> None:
    here, there = scenes("foundry", 2, 5)
    defects = CaptionDefects(too_short=0.0, repetitive=0.0, mismatched=100.0, with_sign_word=100.0)
    for seed in range(20):
        words = raw_caption(here, random.Random(seed), there, defects).split()
        assert there.word in words
        assert here.word not in words


def test_the_street_world_states_the_measured_defects(street) -> None:
    assert street.corpus.captions == MEASURED_DEFECTS

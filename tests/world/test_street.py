"""The embedded world: sizes, splits, questions, and another world for another seed."""

import statistics
from collections import Counter
from pathlib import Path

import pytest

from recap.params import read_yaml, validate
from recap.runtime.errors import UserError
from recap.world.corpus import captioned_scenes
from recap.world.finetune import LETTER_PROMPT, SHORT_ANSWER_PROMPT, conversations
from recap.world.scenes import SPLITS, scenes, split_of
from recap.world.settings import WorldSettings
from recap.world.street import StreetWorld


def load(root: Path, name: str) -> WorldSettings:
    path = root / "worlds" / name / "world.yaml"
    return validate(WorldSettings, read_yaml(path), path)


def test_another_seed_another_world(root) -> None:
    world = load(root, "hamlet")
    other = world.model_copy(update={"seed": world.seed + 1})
    assert captioned_scenes(world) != captioned_scenes(other)


def test_no_scene_is_shared_between_splits() -> None:
    """Contents, not only pictures: what two pictures of one content differ in, no text speaks of."""
    contents = {split: {scene.content for scene in scenes(split, 100, 28)} for split in SPLITS}
    union = set().union(*contents.values())
    assert len(union) == sum(map(len, contents.values())) == 100 * len(SPLITS)


def test_no_scene_is_shared_whatever_the_seeds() -> None:
    for split in SPLITS:
        assert {split_of(scene.content) for seed in (1, 2) for scene in scenes(split, 20, seed)} == {split}


def test_every_bucket_has_one_owner() -> None:
    assert Counter(bucket for buckets in SPLITS.values() for bucket in buckets) == Counter(range(64))


def test_a_split_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'vizwiz'"):
        next(scenes("vizwiz", 1, 1))


def test_street_sizes(root) -> None:
    world = load(root, "street")
    shown = [scene for scene, _ in captioned_scenes(world)]
    assert len(shown) >= 2400
    assert statistics.mean(scene.width for scene in shown) == pytest.approx(402, abs=10)
    assert statistics.mean(scene.height for scene in shown) == pytest.approx(370, abs=10)
    short_sides = [min(scene.width, scene.height) for scene in shown]
    medium = sum(min(s.width, s.height) >= 224 and max(s.width, s.height) < 512 for s in shown)
    assert 100 * medium / len(shown) == pytest.approx(89, abs=1.5)
    assert 1 <= 100 * sum(side < 224 for side in short_sides) / len(shown) <= 6


def test_finetune_mixture(root) -> None:
    world = load(root, "street")
    rows = [row for _, row in conversations(world)]
    assert len(rows) >= 1000
    asked = [" ".join(m["value"] for m in row["conversations"] if m["from"] == "human") for row in rows]
    lettered = 100 * sum(LETTER_PROMPT in text for text in asked) / len(rows)
    assert lettered == pytest.approx(world.finetune.multiple_choice, abs=4)
    assert 100 * sum("image" not in row for row in rows) / len(rows) == pytest.approx(world.finetune.text_only, abs=2)
    assert all(SHORT_ANSWER_PROMPT in text for text in asked)


def test_every_picture_is_asked_about_once_or_twice(root) -> None:
    asked = StreetWorld(load(root, "street")).ask("okvqa", {"knowledge": 1, "time": 1})
    assert len(asked) == load(root, "street").benchmarks.questions >= 300
    per_image = Counter(item.scene.id for item in asked)
    assert set(per_image.values()) == {1, 2}
    assert [item.turn for item in asked].count(1) == sum(number == 2 for number in per_image.values())
    assert len({(item.scene.id, item.question) for item in asked}) == len(asked)


def test_people_answer_alike_with_slips(root) -> None:
    world = StreetWorld(load(root, "street"))
    written, perceived = (world.ask("textvqa", {"read_word": 1}, annotators) for annotators in ("written", "perceived"))
    assert [(item.question, item.answer) for item in written] == [(item.question, item.answer) for item in perceived]
    for asked in (written, perceived):
        agree = sum(answer.lower() == item.answer for item in asked for answer in item.answers) / (10 * len(asked))
        assert 0.85 < agree < 0.97
    assert any(answer.isupper() for item in written for answer in item.answers)
    assert all(answer.islower() for item in perceived for answer in item.answers)


def test_a_picture_is_the_same_in_a_file_and_in_memory(root, tmp_path) -> None:
    world = StreetWorld(load(root, "hamlet"))
    scene = next(scenes("mmbench", 1, 1))
    world.draw({tmp_path / "deep" / "x.jpg": scene}, "test")
    assert (tmp_path / "deep" / "x.jpg").read_bytes() == world.jpeg(scene)


def test_a_misspelt_world_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"2 problem.*pears: no such parameter.*finetune: missing"):
        captions = {"too_short": 1.0, "repetitive": 1.0, "mismatched": 1.0, "with_sign_word": 1.0}
        corpus = {"pairs": 1, "pears": 2, "captions": captions}
        validate(WorldSettings, {"seed": 1, "corpus": corpus, "benchmarks": {"questions": 1}}, "world.yaml")

"""The pictures of the finetune set and of benchmarks in shards: resumed, stored once, or referred to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from recap.data.benchmarks.registry import BENCHMARKS
from recap.data.corpus.images import BadImage, open_image, stored_image
from recap.data.corpus.index import CorpusIndex, index_rows
from recap.data.corpus.records import read_conversations
from recap.data.sources import packing
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import take_benchmark
from recap.data.sources.rejections import Part
from recap.data.sources.user_conversations import take_conversations
from tests.packings import files, interrupted

COUNT = 40


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty pictures, two rows about each; every tenth picture has the bytes of the first."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    for number in range(COUNT):
        shade = 0 if number % 10 == 0 else 5 * number
        Image.new("RGB", (20, 10), (shade, shade // 2, 9)).save(folder / f"images/{number}.png")
    turns = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}]
    rows = [{"id": n, "image": f"images/{n % COUNT}.png", "conversations": turns} for n in range(2 * COUNT)]
    (folder / "finetune.json").write_text(json.dumps(rows))
    questions = {str(n): {"question": "q", "answer": "a", "imageId": str(n % COUNT)} for n in range(2 * COUNT)}
    (folder / "testdev_balanced_questions.json").write_text(json.dumps(questions))
    return folder


def finetune(source: Path, out: Path, terms: Terms) -> Part:
    return take_conversations(source / "finetune.json", out, terms)


def gqa(source: Path, out: Path, terms: Terms) -> Part:
    return take_benchmark(BENCHMARKS["gqa"], source / "testdev_balanced_questions.json", out, terms)


Take = Callable[[Path, Path, Terms], Part]
PARTS = pytest.mark.parametrize(("take", "suffix"), [(finetune, "png"), (gqa, "jpg")])


def terms(folder: Path, **more: Any) -> Terms:
    (folder / "work").mkdir(parents=True, exist_ok=True)
    return Terms(work=folder / "work", **more)


@PARTS
def test_every_picture_has_its_bytes_and_equal_ones_one_place(
    source: Path, tmp_path: Path, take: Take, suffix: str
) -> None:
    assert take(source, tmp_path / "out", terms(tmp_path)).rows == 2 * COUNT
    index = CorpusIndex(tmp_path / "out")
    assert index.names == [f"images/{number}.{suffix}" for number in range(COUNT)]
    for number in range(COUNT):
        assert stored_image(index, f"images/{number}.{suffix}") == (source / f"images/{number}.png").read_bytes()
    rows = list(index_rows(tmp_path / "out/index.parquet"))
    assert len(rows) == COUNT and len({(row["shard"], row["offset"]) for row in rows}) == COUNT - 3
    assert {(row["width"], row["height"], row["format"], row["caption"]) for row in rows} == {(20, 10, "PNG", "")}


@PARTS
def test_what_was_interrupted_ends_with_the_same_bytes(
    source: Path, tmp_path: Path, take: Take, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "SHARD_ROWS", 8)
    take(source, tmp_path / "whole", terms(tmp_path / "a"))
    with interrupted(30):
        take(source, tmp_path / "stopped", terms(tmp_path / "b"))
    assert len(list((tmp_path / "b/work").glob("*.json"))) == 3
    take(source, tmp_path / "stopped", terms(tmp_path / "b"))
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


@PARTS
def test_pictures_that_are_referred_to_stay_where_they_are(
    source: Path, tmp_path: Path, take: Take, suffix: str
) -> None:
    take(source, tmp_path / "out", terms(tmp_path, images="reference"))
    assert not list((tmp_path / "out").glob("*.tar"))
    assert open_image(tmp_path / "out", f"images/5.{suffix}").getpixel((0, 0)) == (25, 12, 9)
    Image.new("RGB", (9, 9)).save(source / "images/5.png")
    with pytest.raises(BadImage, match=r"changed_image.*5\.png is not what it was"):
        open_image(tmp_path / "out", f"images/5.{suffix}")


def test_a_name_that_nearly_fits_is_the_files_in_both_rows_and_index(source: Path, tmp_path: Path) -> None:
    rows = json.loads((source / "finetune.json").read_text())[:3]
    for row, image in zip(rows, ("images\\1.png", "./images/1.PNG", "/images/1.jpg"), strict=True):
        row["image"] = image
    (source / "finetune.json").write_text(json.dumps(rows))
    finetune(source, tmp_path / "out", terms(tmp_path))
    assert {row["image"] for row in read_conversations(tmp_path / "out/train.json")} == {"images/1.png"}
    assert CorpusIndex(tmp_path / "out").names == ["images/1.png"]

"""A corpus of eight pairs in which every rule of the headline recipe has a row to drop, and how well captions fit."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from recap.data.corpus.records import Record
from recap.io import write_jsonl

RAW = {
    "good": "a red bus stands next to a small tree",
    "tiny": "a yellow boat lies near the old harbour wall",
    "short": "dog",
    "long": "word " * 61,
    "word-loop": "the very same ten words come again and once more " * 3,
    "character-loop": "free download free download free download free",
    "few-characters": "a b c d e f",
    "uncaptioned": "a sign that says open above the door",
}

# How well raw captions fit; BLIP-2's all fit by 0.5.
ALIGNMENT = {
    "good": 0.9, "tiny": 0.8, "short": 0.1, "long": 0.2, "word-loop": 0.5, "character-loop": 0.05,
    "few-characters": 0.1, "uncaptioned": 0.6,
}  # fmt: skip


@pytest.fixture
def records() -> list[Record]:
    return [Record(name, f"images/{name}.png", caption.strip()) for name, caption in RAW.items()]


@pytest.fixture
def folder(tmp_path: Path, records: list[Record], pack_corpus: Callable[[Sequence[Record], Path, Path], Path]) -> Path:
    """A folder with shards, index, corpus.jsonl, both files of captions, and the pictures as files in images/."""
    (tmp_path / "images").mkdir()
    for number, record in enumerate(records):
        Image.new("RGB", (300, 223 if record.id == "tiny" else 224), (20 * number, 0, 0)).save(tmp_path / record.image)
    write_jsonl(tmp_path / "corpus.jsonl", (record.to_row() for record in records))
    captions = [
        {"image": record.image, "caption": f"a street with a sign and number {number}", "alignment": 0.5}
        for number, record in enumerate(records)
        if record.id != "uncaptioned"
    ]
    write_jsonl(tmp_path / "captions.jsonl", captions)
    raw = (
        {"id": row.id, "image": row.image, "caption": row.caption, "alignment": ALIGNMENT[row.id]} for row in records
    )
    write_jsonl(tmp_path / "raw_captions.jsonl", raw)
    return pack_corpus(records, tmp_path, tmp_path)

"""A corpus of eight pairs in which every rule of the headline recipe has a row to drop."""

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


@pytest.fixture
def records() -> list[Record]:
    return [Record(name, f"images/{name}.png", caption.strip()) for name, caption in RAW.items()]


@pytest.fixture
def folder(tmp_path: Path, records: list[Record], pack_corpus: Callable[[Sequence[Record], Path, Path], Path]) -> Path:
    """A folder with shards and index, corpus.jsonl, captions.jsonl, and the pictures as files in images/."""
    (tmp_path / "images").mkdir()
    for record in records:
        Image.new("RGB", (300, 223 if record.id == "tiny" else 224)).save(tmp_path / record.image)
    write_jsonl(tmp_path / "corpus.jsonl", (record.to_row() for record in records))
    captions = [
        {"image": record.image, "caption": f"a street with a sign and number {number}"}
        for number, record in enumerate(records)
        if record.id != "uncaptioned"
    ]
    write_jsonl(tmp_path / "captions.jsonl", captions)
    return pack_corpus(records, tmp_path, tmp_path)

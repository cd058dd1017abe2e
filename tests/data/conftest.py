"""A corpus of six pairs that has every defect, a way to pack one, and a way to run a stage in this process."""

import json
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from recap.data.corpus.records import Record
from recap.data.formats.samples import Sample
from recap.data.sources.packing import pack
from recap.io import write_jsonl

CAPTIONS = [
    "a red bus stands next to a small tree",
    "two yellow boats near the old harbour wall",
    "a sign that says OPEN above the door",
    "free download free download free download",
    "dog",
    "a red bus stands next to a small tree",
]


@pytest.fixture
def pack_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Record], Path, Path], Path]:
    """Puts pairs whose pictures lie below a folder into the shards and the index of another one, as `prepare` does."""

    def put(records: Sequence[Record], pictures: Path, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        samples = (Sample(row.id, row.id, row.image, row.caption, dict(row.fields)) for row in records)
        pack(samples, pictures, folder, work=tmp_path_factory.mktemp("work"), workers=1)
        return folder

    return put


@pytest.fixture
def corpus(tmp_path: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]) -> Path:
    """A folder like data/corpus, with the pictures as files too, and the rows as JSON Lines."""
    folder = tmp_path / "corpus"
    (folder / "images").mkdir(parents=True)
    records = [Record(f"row{number}", f"images/{number}.png", caption) for number, caption in enumerate(CAPTIONS)]
    for number, record in enumerate(records):
        Image.new("RGB", (300, 200 + 20 * number), (40 * number, 0, 0)).save(folder / record.image)
    write_jsonl(folder / "train.jsonl", (record.to_row() for record in records))
    write_jsonl(folder / "rejected.jsonl", [{"where": "x:1", "id": "z", "reason": "empty_caption", "detail": ""}])
    return pack_corpus(records, folder, folder)


@pytest.fixture
def run_stage(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run stages/<name>.py with flags, as its `main`."""

    def run(name: str, **flags: Path | str) -> None:
        arguments = [part for flag, value in flags.items() for part in (f"--{flag.replace('_', '-')}", str(value))]
        monkeypatch.setattr(sys, "argv", [name, *arguments, "--params", str(root / "params.yaml")])
        runpy.run_path(str(root / "stages" / f"{name}.py"))["main"]()

    return run


@pytest.fixture
def read() -> Callable[[Path], dict]:
    return lambda path: json.loads(path.read_text())

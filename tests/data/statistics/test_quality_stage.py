"""The quality stage: before against after, on equal samples."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from recap.data.corpus.records import Record, read_corpus
from recap.io import write_jsonl
from recap.runtime.errors import UserError

Flags = dict[str, Path]


@pytest.fixture
def inputs(corpus: Path, tmp_path: Path) -> Flags:
    """Six raw captions without scores, and three processed ones."""
    raw = [
        {"id": record.id, "image": record.image, "caption": record.caption, "alignment": None}
        for record in read_corpus(corpus / "train.jsonl")
    ]
    captions = [f"caption number {number} with six different words" for number in range(3)]
    after = [Record(f"row{number}", f"images/{number}.png", caption) for number, caption in enumerate(captions)]
    write_jsonl(tmp_path / "raw.jsonl", raw)
    write_jsonl(tmp_path / "after.jsonl", (record.to_row() for record in after))
    return {"raw-captions": tmp_path / "raw.jsonl", "processed": tmp_path / "after.jsonl"}


def outputs(folder: Path) -> Flags:
    return {
        "plots": folder / "plots", "metrics": folder / "quality.json", "details": folder / "details.json",
        "timing": folder.parent / "timing.json",
    }  # fmt: skip


def test_quality(inputs: Flags, tmp_path: Path, run_stage: Callable[..., None], read: Callable[[Path], dict]) -> None:
    for name in ("one", "two"):
        run_stage("quality", **inputs, **outputs(tmp_path / name))
    facts = read(tmp_path / "one/details.json")["quality"]
    metrics = read(tmp_path / "one/quality.json")["quality"]
    assert (facts["rows_before"], facts["rows_after"], facts["kept_percent"]) == (6, 3, 50)
    assert facts["sample_rows"] == 3
    assert facts["sample_tokens"] == 18  # all of the smaller corpus; numbers are no words
    assert sum(map(len, metrics.values())) <= 9
    assert all(facts[side][name]["value"] == value for side in metrics for name, value in metrics[side].items())
    assert facts["before"]["hdd"]["value"] is None  # fewer than 42 tokens
    assert (facts["before"]["words_mean"]["value"], metrics["after"]["words_mean"]) == (6.833333, 6)
    assert facts["before"]["too_short_percent"]["value"] == 16.666667
    assert (tmp_path / "one/plots/words.csv").read_text().startswith("words,before,after\n0,0.0,0.0\n1,16.666667,0.0\n")
    assert (tmp_path / "one/plots/alignment.csv").read_text() == "cosine,before,after\nno aligner,0.0,0.0\n"
    assert metrics["after"]["alignment"] is None
    files = sorted(path.name for path in (tmp_path / "one/plots").iterdir())
    assert files == ["alignment.csv", "alignment.png", "indices.png", "words.csv", "words.png"]
    for file in ("quality.json", "details.json", *(f"plots/{name}" for name in files)):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    with Image.open(tmp_path / "one/plots/alignment.png") as image:
        image.load()


def test_histogram_of_alignment(tmp_path: Path, run_stage: Callable[..., None], read: Callable[[Path], dict]) -> None:
    rows = [
        {"id": str(number), "image": f"{number}.png", "caption": "a cat", "alignment": score}
        for number, score in enumerate([-0.01, 0.0, 0.019, 0.04])
    ]
    write_jsonl(tmp_path / "raw.jsonl", rows)
    kept = [{**Record("3", "3.png", "a cat").to_row(), "alignment": 0.05}]
    write_jsonl(tmp_path / "after.jsonl", kept)
    inputs = {"raw-captions": tmp_path / "raw.jsonl", "processed": tmp_path / "after.jsonl"}
    run_stage("quality", **inputs, **outputs(tmp_path / "out"))
    assert (tmp_path / "out/plots/alignment.csv").read_text().splitlines() == [
        "cosine,before,after", "-0.02,25.0,0.0", "0.0,50.0,0.0", "0.02,0.0,0.0", "0.04,25.0,100.0",
    ]  # fmt: skip
    assert read(tmp_path / "out/quality.json")["quality"]["change"]["alignment"] == pytest.approx(0.05 - 0.01225)


def test_a_row_that_is_none(inputs: Flags, tmp_path: Path, run_stage: Callable[..., None]) -> None:
    write_jsonl(inputs["raw-captions"], [{"id": "a", "image": "a.png"}])
    with pytest.raises(UserError, match=r"raw\.jsonl: row 1: expected id, image and caption, found no 'caption'"):
        run_stage("quality", **inputs, **outputs(tmp_path / "out"))

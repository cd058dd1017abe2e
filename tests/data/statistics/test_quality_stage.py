"""The quality stage: before against after, on equal samples."""

from collections.abc import Callable
from pathlib import Path

from recap.data.corpus.records import Record
from recap.io import write_jsonl


def test_quality(corpus: Path, tmp_path: Path, run_stage: Callable[..., None], read: Callable[[Path], dict]) -> None:
    captions = [f"caption number {number} with six different words" for number in range(3)]
    after = [Record(f"row{number}", "images/0.png", caption) for number, caption in enumerate(captions)]
    write_jsonl(tmp_path / "after.jsonl", (record.to_row() for record in after))
    for name in ("one", "two"):
        folder = tmp_path / name
        run_stage(
            "quality", corpus=corpus / "train.jsonl", processed=tmp_path / "after.jsonl", plots=folder / "plots",
            metrics=folder / "quality.json", details=folder / "details.json", timing=tmp_path / "timing.json",
        )  # fmt: skip
    facts = read(tmp_path / "one/details.json")["quality"]
    metrics = read(tmp_path / "one/quality.json")["quality"]
    assert (facts["rows_before"], facts["rows_after"], facts["kept_percent"]) == (6, 3, 50)
    assert facts["sample_rows"] == 3
    assert facts["sample_tokens"] == 18  # all of the smaller corpus; numbers are no words
    assert all(metrics[side].keys().isdisjoint(facts[side]) for side in ("before", "after"))
    assert metrics["before"].keys() | facts["before"].keys() == metrics["after"].keys() | facts["after"].keys()
    assert facts["before"]["hdd"] is None  # fewer than 42 tokens
    assert (metrics["before"]["words_mean"], metrics["after"]["words_mean"]) == (6.833333, 6)
    assert metrics["before"].keys() < metrics["after"].keys()
    assert (facts["before"]["too_short_percent"], facts["after"]["too_short_percent"]) == (16.666667, 0)
    assert (tmp_path / "one/plots/words.csv").read_text().startswith("words,before,after\n0,0.0,0.0\n1,16.666667,0.0\n")
    for file in ("quality.json", "details.json", "plots/words.csv", "plots/words.png", "plots/indices.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()

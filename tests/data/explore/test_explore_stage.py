"""The explore stage on six pairs: numbers, report and charts, twice the same."""

from collections.abc import Callable, Sequence
from pathlib import Path

from recap.data.corpus.records import Record, read_corpus


def explore(run_stage: Callable[..., None], corpus: Path, folder: Path) -> None:
    run_stage(
        "explore", corpus=corpus / "index.parquet", images=corpus, rejected=corpus / "rejected.jsonl",
        benchmarks=corpus.parent / "benchmarks", report=folder / "data/explore/report.md",
        recipe=folder / "data/explore/suggested_recipe.yaml", leaked=folder.parent / "leaked.jsonl",
        plots=folder / "plots/explore", metrics=folder / "explore.json", details=folder / "details.json",
        timing=folder.parent / "timing.json",
    )  # fmt: skip


def test_explore(corpus: Path, tmp_path: Path, run_stage: Callable[..., None], read: Callable[[Path], dict]) -> None:
    explore(run_stage, corpus, tmp_path / "one")
    metrics = {"text": {"too_short_percent": 16.666667}, "leaked_images": 0}
    assert read(tmp_path / "one/explore.json") == {"explore": metrics}
    facts = read(tmp_path / "one/details.json")["explore"]
    assert (facts["rows"], facts["rejected"]) == (6, {"empty_caption": 1})
    assert facts["complete_percent"] == {"id": 100, "text": 85.714286, "images": 100, "all": 85.714286}  # 6 of 7 read
    assert facts["text"]["words_mean"] == 6.833333  # (9 + 8 + 8 + 6 + 1 + 9) / 6
    assert facts["images"]["small_percent"] == 33.333333  # heights 200 and 220 of 200, 220, ..., 300
    report = (tmp_path / "one/data/explore/report.md").read_text()
    assert "free download free download" in report
    assert "../../plots/explore/words.png" in report


def test_explore_twice_is_the_same(corpus: Path, tmp_path: Path, run_stage: Callable[..., None]) -> None:
    for name in ("one", "two"):
        explore(run_stage, corpus, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 16
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_explore_photographs(
    shared: Path,
    tmp_path: Path,
    pack_corpus: Callable[[Sequence[Record], Path, Path], Path],
    run_stage: Callable[..., None],
    read: Callable[[Path], dict],
) -> None:
    (tmp_path / "rejected.jsonl").touch()
    photos = shared / "photos"
    corpus = pack_corpus(read_corpus(photos / "train.jsonl"), photos, tmp_path / "corpus")
    run_stage(
        "explore", corpus=corpus / "index.parquet", images=corpus, rejected=tmp_path / "rejected.jsonl",
        benchmarks=tmp_path / "benchmarks", report=tmp_path / "report.md", recipe=tmp_path / "recipe.yaml",
        leaked=tmp_path / "leaked.jsonl", plots=tmp_path / "plots", metrics=tmp_path / "explore.json",
        details=tmp_path / "details.json", timing=tmp_path / "timing.json",
    )  # fmt: skip
    facts = read(tmp_path / "details.json")["explore"]
    assert (facts["rows"], facts["images"]["images"]) == (20, 20)
    assert set(facts["images"]["formats"]) == {"JPEG", "PNG"}
    assert read(tmp_path / "explore.json")["explore"]["text"]["too_short_percent"] == 50

"""The explore stage on six pairs: numbers, report and charts, twice the same."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from recap.data.corpus.records import Record, read_corpus
from recap.io import write_jsonl
from tests.hostile_text import ALL, SCRIPT


def raw_captions(corpus: Path, folder: Path, alignments: Sequence[float | None]) -> Path:
    """What `align@raw` writes, with these cosines, over and over; strangers have half of them."""
    rows = []
    for number, record in enumerate(read_corpus(corpus / "index.parquet")):
        cosine = alignments[number % len(alignments)]
        stranger = None if cosine is None else cosine / 2
        rows.append(
            {"id": record.id, "image": record.image, "caption": record.caption, "alignment": cosine, "chance": stranger}
        )
    write_jsonl(folder / "raw_captions.jsonl", rows)
    return folder / "raw_captions.jsonl"


def explore(
    run_stage: Callable[..., None], corpus: Path, folder: Path, alignments: Sequence[float | None] = (None,)
) -> None:
    run_stage(
        "explore", corpus=corpus / "index.parquet", images=corpus, rejected=corpus / "rejected.jsonl",
        raw_captions=raw_captions(corpus, folder.parent, alignments),
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


@pytest.mark.slow
def test_explore_twice_is_the_same(corpus: Path, tmp_path: Path, run_stage: Callable[..., None]) -> None:
    for name in ("one", "two"):
        explore(run_stage, corpus, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 18
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_alignment_is_in_report_chart_and_details(
    corpus: Path, tmp_path: Path, run_stage: Callable[..., None], read: Callable[[Path], dict]
) -> None:
    explore(run_stage, corpus, tmp_path / "one", [0.31, 0.11, 0.21])
    found = read(tmp_path / "one/details.json")["explore"]["alignment"]
    assert (found["scored_rows"], found["mean"]) == (6, 0.21)
    assert (found["quantiles"]["median"], found["chance_quantiles"]["median"]) == (0.21, 0.105)
    assert found["least"] is None and found["mismatched_percent"] is None  # six strangers are too few
    assert [row["alignment"] for row in found["worst"]] == [0.11, 0.11, 0.21, 0.21, 0.31, 0.31]
    report = (tmp_path / "one/data/explore/report.md").read_text()
    assert "## How well captions fit their pictures" in report and "plots/explore/alignment.png" in report
    chart = (tmp_path / "one/plots/explore/alignment.csv").read_text().splitlines()
    # Bins of 0.02 by their lower ends: strangers from 0.055 on, a third each; captions from 0.11 to 0.31.
    assert chart[0] == "cosine,captions,by_chance" and chart[1] == "0.04,0.0,33.333333"
    assert len(chart) == 15


def test_without_an_aligner_the_report_says_so(
    corpus: Path, tmp_path: Path, run_stage: Callable[..., None], read: Callable[[Path], dict]
) -> None:
    explore(run_stage, corpus, tmp_path / "one")
    assert read(tmp_path / "one/details.json")["explore"]["alignment"] is None
    assert "Not known: no model scored them" in (tmp_path / "one/data/explore/report.md").read_text()
    assert (
        tmp_path / "one/plots/explore/alignment.csv"
    ).read_text() == "cosine,captions,by_chance\nno aligner,0.0,0.0\n"
    assert (tmp_path / "one/plots/explore/alignment.png").is_file()


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
        raw_captions=raw_captions(corpus, tmp_path, (None,)),
        benchmarks=tmp_path / "benchmarks", report=tmp_path / "report.md", recipe=tmp_path / "recipe.yaml",
        leaked=tmp_path / "leaked.jsonl", plots=tmp_path / "plots", metrics=tmp_path / "explore.json",
        details=tmp_path / "details.json", timing=tmp_path / "timing.json",
    )  # fmt: skip
    facts = read(tmp_path / "details.json")["explore"]
    assert (facts["rows"], facts["images"]["images"]) == (20, 20)
    assert set(facts["images"]["formats"]) == {"JPEG", "PNG"}
    assert read(tmp_path / "explore.json")["explore"]["text"]["too_short_percent"] == 50


def test_hostile_captions_are_text_in_report_charts_and_tables(
    corpus: Path, pack_corpus: Callable[..., Path], tmp_path: Path, run_stage: Callable[..., None]
) -> None:
    texts = [*ALL, f"{SCRIPT} " * 3, "x|y`z " * 3, "a$\\frac{b$c a$\\frac{b$c"]
    records = [Record(f"row{n}", f"images/{n % 6}.png", text) for n, text in enumerate(texts)]
    hostile = pack_corpus(records, corpus, tmp_path / "hostile")
    (hostile / "rejected.jsonl").write_text("", encoding="utf-8")
    explore(run_stage, hostile, tmp_path / "one", [0.1, 0.2])
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .parse((tmp_path / "one/data/explore/report.md").read_text(encoding="utf-8"))
    )
    inline = [child for token in tokens for child in token.children or []]
    assert not [
        token.content for token in [*tokens, *inline] if token.type in ("html_block", "html_inline", "link_open")
    ]
    images = [str(token.attrs["src"]) for token in inline if token.type == "image"]
    assert images and all(source.startswith("../../plots/explore/") for source in images)
    shown = " ".join(token.content for token in inline if token.type == "code_inline")
    assert "U+001B[2JU+001B[31mred" in shown and "</script>" in shown and "invoiceU+202Egnp.exe" in shown
    with (tmp_path / "one/plots/explore/word_frequency.csv").open(encoding="utf-8", newline="") as stream:
        words = [row["word"] for row in csv.DictReader(stream)]
    assert any("‹/style>" in word for word in words) and not any("<" in word for word in words)

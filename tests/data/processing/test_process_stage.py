"""The process stage: same bytes twice, the same top-level keys for every recipe, one-line errors."""

import json
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from recap.data.corpus.records import Record, read_corpus
from recap.io import read_jsonl
from recap.runtime.errors import UserError


def process(root: Path, folder: Path, out: Path, recipe: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    flags = {
        "corpus": folder / "corpus.jsonl", "images": folder, "captions": folder / "captions.jsonl",
        "raw-captions": folder / "raw_captions.jsonl", "plots": out / "plots",
        "recipe": root / "recipes" / f"{recipe}.yaml", "output": out / "train.jsonl", "trace": out / "trace",
        "statistics": out / "statistics.parquet",
        "metrics": out / "process.json", "details": out / "details.json",
        "timing": folder / "timing.json", "params": root / "params.yaml",
    }  # fmt: skip
    arguments = [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
    monkeypatch.setattr(sys, "argv", ["process", *arguments])
    runpy.run_path(str(root / "stages" / "process.py"))["main"]()
    metrics, details = (json.loads((out / name).read_text())["process"] for name in ("process.json", "details.json"))
    assert list(metrics) == ["rows_in", "rows_out", "kept_percent", "recaptioned_rows"]
    return metrics | details


def test_process(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = process(root, folder, folder / "one", "blip2", monkeypatch)
    process(root, folder, folder / "two", "blip2", monkeypatch)
    assert (facts["rows_in"], facts["rows_out"], facts["dropped_rows"], facts["recaptioned_rows"]) == (8, 6, 2, 6)
    assert facts["kept_percent"] == 75
    shape = facts["operators"]["image_shape_filter"]
    assert {name: shape[name] for name in ("rows_in", "rows_out", "dropped", "changed", "added", "share_percent")} == {
        "rows_in": 8, "rows_out": 7, "dropped": 1, "changed": 0, "added": 0, "share_percent": 12.5,
    }  # fmt: skip
    assert (shape["statistic"], shape["reasons"]) == ("image_height", {"image_height low": 1})
    assert (shape["before"]["min"], shape["before"]["median"], shape["after"]["min"]) == (223, 224, 224)
    assert facts["operators"]["blip2_caption_lookup_mapper"]["changed"] == 6
    assert (folder / "one/plots/funnel.csv").read_text().splitlines()[:3] == [
        "operator,rows", "corpus,8", "image_shape_filter,7"
    ]  # fmt: skip
    trace = folder / "one" / "trace"
    assert sorted(path.name for path in trace.iterdir())[:2] == [
        "01_image_shape_filter.jsonl", "02_blip2_captioned_filter.jsonl",
    ]  # fmt: skip
    funnel = list(read_jsonl(trace / "funnel.jsonl"))
    kept = {row["id"] for row in read_jsonl(folder / "one" / "train.jsonl")}
    lost = [row["id"] for file in trace.glob("0*.jsonl") for row in read_jsonl(file) if row["after"] is None]
    assert len(funnel) == 7
    assert sorted([*kept, *lost]) == sorted(row["id"] for row in read_jsonl(folder / "corpus.jsonl"))
    files = [path.relative_to(folder / "one") for path in (folder / "one").rglob("*") if path.is_file()]
    assert all((folder / "one" / file).read_bytes() == (folder / "two" / file).read_bytes() for file in files)


def test_recipes_share_their_keys(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = process(root, folder, folder / "baseline", "baseline", monkeypatch)
    filtered = process(root, folder, folder / "filtered", "filtered", monkeypatch)
    assert list(baseline) == list(filtered)
    assert (baseline["kept_percent"], baseline["operators"]) == (100, {})
    assert [path.name for path in (folder / "baseline" / "trace").iterdir()] == ["funnel.jsonl"]


def test_unknown_recipe(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="did you mean filtered"):
        process(root, folder, folder / "one", "filterd", monkeypatch)
    assert not (folder / "one").exists()


def test_photographs(
    shared: Path,
    root: Path,
    tmp_path: Path,
    pack_corpus: Callable[[Sequence[Record], Path, Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = shared / "photos"
    pack_corpus(read_corpus(photos / "train.jsonl"), photos, tmp_path)
    for name in ("captions.jsonl", "raw_captions.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "corpus.jsonl").write_bytes((photos / "train.jsonl").read_bytes())
    facts = process(root, tmp_path, tmp_path / "out", "filtered", monkeypatch)
    assert (facts["rows_in"], facts["rows_out"]) == (20, 9)

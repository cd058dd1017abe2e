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
    assert facts["operators"]["image_shape_filter"] == {"rows_in": 8, "rows_out": 7, "dropped": 1, "changed": 0}
    assert facts["operators"]["blip2_caption_mapper"]["changed"] == 6
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
    (tmp_path / "captions.jsonl").touch()
    (tmp_path / "corpus.jsonl").write_bytes((photos / "train.jsonl").read_bytes())
    facts = process(root, tmp_path, tmp_path / "out", "filtered", monkeypatch)
    assert (facts["rows_in"], facts["rows_out"]) == (20, 9)

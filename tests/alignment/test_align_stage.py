"""The stage as DVC runs it: the corpus's own captions, candidates, and no aligner."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from recap.alignment import aligners
from recap.data.corpus.records import Record
from recap.io import read_jsonl, write_jsonl
from recap.runtime.errors import UserError

from .conftest import sentence

Stage = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


@pytest.fixture
def align(
    root: Path, tmp_path: Path, corpus: Path, aligner_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """Runs the stage on the corpus; gives its rows and its details."""
    monkeypatch.chdir(tmp_path)

    def run(
        texts: Path, *, model: Path = aligner_folders["clip"], choose: str = "alignment", batch_size: int = 4
    ) -> Any:
        params = YAML(typ="safe").load(root / "params.yaml")
        params["device"] |= {"device": "cpu", "dtype": "float32"}
        params["machine"] |= {"align_batch_size": batch_size, "store": str(tmp_path / "store.sqlite")}
        params["align"]["choose"] = choose
        YAML(typ="safe").dump(params, tmp_path / "params.yaml")
        flags = {
            "--texts": texts, "--images": corpus, "--model": model, "--aligned": "out.jsonl",
            "--details": "details/align_raw.json", "--timing": "timings/align@raw.json",
        }  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["align.py", *(str(part) for flag in flags.items() for part in flag)])
        runpy.run_path(str(root / "stages" / "align.py"))["main"]()
        return list(read_jsonl("out.jsonl")), json.loads(Path("details/align_raw.json").read_text())["align_raw"]

    return run


def candidates(records: list[Record], tmp_path: Path, each: int) -> Path:
    rows = [
        {
            "image": record.image,
            "candidates": [
                {"caption": sentence(100 * number + index), "prompt": "", "truncated": False, "junk": None}
                for index in range(each)
            ],
        }
        for number, record in enumerate(records)
    ]
    write_jsonl(tmp_path / "candidates.jsonl", rows)
    return tmp_path / "candidates.jsonl"


def test_the_corpus_is_scored_in_order(align: Stage, corpus: Path, records: list[Record]) -> None:
    rows, facts = align(corpus / "index.parquet")
    assert [(row["id"], row["image"], row["caption"]) for row in rows] == [
        (record.id, record.image, record.caption) for record in records
    ]
    assert all(-1 <= row["alignment"] <= 1 for row in rows)
    assert [row["chance"] is None for row in rows] == [True, *[False] * 11]
    assert facts["aligner"] is True and facts["alignment"]["scored"] == 12 and facts["reasons"] == {}
    timing = json.loads(Path("timings/align@raw.json").read_text())
    assert (timing["stage"], timing["items"], timing["kept"]) == ("align@raw", 23, 0)


def test_a_second_run_loads_no_model_and_writes_the_same(
    align: Stage, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align(corpus / "index.parquet")
    first = Path("out.jsonl").read_bytes()
    monkeypatch.setattr(aligners, "load_aligner", None)
    align(corpus / "index.parquet", batch_size=7)
    assert Path("out.jsonl").read_bytes() == first


def test_the_best_candidate_is_the_caption(align: Stage, records: list[Record], tmp_path: Path) -> None:
    rows, facts = align(candidates(records, tmp_path, 3))
    assert [row["image"] for row in rows] == [record.image for record in records]
    for row in rows:
        best = max(row["candidates"], key=lambda candidate: candidate["alignment"])
        assert (row["caption"], row["alignment"]) == (best["caption"], best["alignment"])
        assert list(best) == ["caption", "prompt", "truncated", "junk", "alignment", "itm", "novelty"]
    changed = sum(row["caption"] != row["candidates"][0]["caption"] for row in rows)
    assert facts["choices"] == {"images": 12, "with_several_candidates": 12, "changed": changed} and changed


def test_a_matching_head_chooses_too(
    align: Stage, records: list[Record], tmp_path: Path, aligner_folders: dict[str, Path]
) -> None:
    rows, _ = align(candidates(records, tmp_path, 2), model=aligner_folders["blip2_itm"], choose="itm")
    assert all(row["caption"] == max(row["candidates"], key=lambda c: c["itm"])["caption"] for row in rows)


def test_a_broken_picture_costs_its_score_and_stops_nothing(
    align: Stage, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard = next(corpus.glob("*.tar"))
    png = (tmp_path / "pictures" / "03.png").read_bytes()
    shard.write_bytes(shard.read_bytes().replace(png, b"x" * len(png)))
    rows, facts = align(corpus / "index.parquet")
    assert [row["alignment"] is None for row in rows] == [number == 3 for number in range(12)]
    assert facts["reasons"] == {"broken_image": 1}
    assert "1 images have no score: broken_image 1" in caplog.text


def test_without_an_aligner(align: Stage, corpus: Path, records: list[Record], root: Path, tmp_path: Path) -> None:
    none = root / "configs" / "aligner" / "none"
    rows, facts = align(corpus / "index.parquet", model=none)
    assert all(row["alignment"] is row["chance"] is None for row in rows) and facts["aligner"] is False
    # One candidate leaves nothing to choose, several do.
    rows, _ = align(candidates(records, tmp_path, 1), model=none)
    assert len(rows) == 12 and all(row["alignment"] is None for row in rows)
    with pytest.raises(
        UserError, match=r"expected a model that aligns at models\.aligner\.path, found none, and several"
    ):
        align(candidates(records, tmp_path, 2), model=none)
    rows, _ = align(candidates(records, tmp_path, 2), model=none, choose="first")
    assert all(row["caption"] == row["candidates"][0]["caption"] for row in rows)
    assert not (tmp_path / "store.sqlite").exists()


def test_a_folder_that_is_no_aligner_is_one_line(
    align: Stage, corpus: Path, tmp_path: Path, aligner_folders: dict[str, Path]
) -> None:
    folder = shutil.copytree(aligner_folders["clip"], tmp_path / "clip")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="expected whole weights"):
        align(corpus / "index.parquet", model=folder)

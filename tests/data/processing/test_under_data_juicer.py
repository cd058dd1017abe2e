"""Recap's operators under Data-Juicer's own loader and command, on rows with markers and whole paths."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recap.data.corpus.records import Record, dj_text
from recap.data.export.exporting import export
from recap.io import read_jsonl, write_jsonl

PROCESS: list[dict[str, Any]] = [
    {"blip2_captioned_filter": {}},
    {"blip2_caption_mapper": {}},
    {"leaked_image_filter": {}},
    {"text_length_filter": {"min_len": 60}},
]

# What dj-process does, but for its executor.
PROGRAM = """
import json, sys
import recap.data.processing.juicer as juicer
for name in ("blip2_captioned_filter", "blip2_caption_mapper", "leaked_image_filter"):
    assert name not in juicer.OPERATORS.modules
import importlib.util
spec = importlib.util.spec_from_file_location("custom", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
rows = [json.loads(line) for line in open(sys.argv[2])]
left = juicer.NestedDataset.from_list(rows).process(juicer.load_ops(json.loads(sys.argv[3])), open_monitor=False)
json.dump(left.to_list(), sys.stdout)
"""


@pytest.fixture
def exported(folder: Path, records: list[Record]) -> Path:
    """A corpus as it is exported, with absolute paths."""
    write_jsonl(
        folder / "rows.jsonl",
        (
            {"id": record.id, "text": dj_text(record.caption), "images": [str(folder / record.image)]}
            for record in records
        ),
    )
    return folder


def with_paths(folder: Path) -> list[dict[str, Any]]:
    """The operators with the files that the stage, or Recap's own recipe, names for them."""
    write_jsonl(folder / "leaked.jsonl", [{"image": "images/short.png", "benchmark": "gqa"}])
    captions, leaked = {"captions_path": str(folder / "captions.jsonl")}, {"leaked_path": str(folder / "leaked.jsonl")}
    files = {"blip2_captioned_filter": captions, "blip2_caption_mapper": captions, "leaked_image_filter": leaked}
    return [{name: {**arguments, **files.get(name, {})}} for item in PROCESS for name, arguments in item.items()]


def assert_recaptioned(rows: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in rows][:3] == ["good", "tiny", "long"] and len(rows) == 6  # "short" leaked
    assert rows[0]["text"] == "<__dj__image> a street with a sign and number 0 <|__dj__eoc|>"
    assert {row["caption_source"] for row in rows} == {"blip2"}


@pytest.mark.slow
def test_operators_load_from_their_file(root: Path, exported: Path) -> None:
    operators = root / "src/recap/data/processing/operators.py"
    arguments = [str(operators), str(exported / "rows.jsonl"), json.dumps(with_paths(exported))]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_recaptioned(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="dj-process needs Ray: pip install -e '.[ray]'")
def test_dj_process(root: Path, folder: Path, records: list[Record]) -> None:
    """As docs/DATA.md says, on an exported corpus, whose paths are relative; Data-Juicer says what it does."""
    write_jsonl(folder / "rows.jsonl", (record.to_row() for record in records))
    export(folder / "rows.jsonl", folder, folder / "exported", "data-juicer")
    (folder / "recipe.yaml").write_text(json.dumps({"process": with_paths(folder)}))
    command = [
        str(Path(sys.executable).parent / "dj-process"), "--config", "recipe.yaml", "--np", "2",
        "--dataset_path", "exported/train.jsonl", "--export_path", "out/rows.jsonl",
        "--custom-operator-paths", str(root / "src/recap/data/processing/operators.py"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "blip2_caption_mapper" in done.stderr
    assert_recaptioned(list(read_jsonl(folder / "out" / "rows.jsonl")))

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
from recap.data.processing.building import argument_names
from recap.data.processing.operators import OWN
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.runner import run_recipe
from recap.io import read_jsonl, write_jsonl

PROCESS: list[dict[str, Any]] = [
    {"blip2_captioned_filter": {}},
    {"leaked_image_filter": {}},
    {"best_aligned_selector": {"number": 5}},
    {"blip2_caption_lookup_mapper": {"worst_aligned_share": 0.6, "keep_original_sample": True}},
    {"alignment_filter": {"min_score": 0.3}},
    {"image_shape_filter": {"min_height": 224}},
]
PLACEBOS: list[dict[str, Any]] = [
    {"blip2_caption_lookup_mapper": {}},
    {"caption_shuffle_mapper": {"seed": 7}},
    {"caption_length_mapper": {"seed": 7}},
]

# What dj-process does, but for its executor.
PROGRAM = """
import json, sys
import recap.data.processing.juicer as juicer
for name in sys.argv[4:]:
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


def with_paths(folder: Path, process: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The operators with the files that the stage, or Recap's own recipe, names for them."""
    write_jsonl(folder / "leaked.jsonl", [{"image": "images/short.png", "benchmark": "gqa"}])
    files = {
        "captions_path": folder / "captions.jsonl", "raw_captions_path": folder / "raw_captions.jsonl",
        "leaked_path": folder / "leaked.jsonl", "index_path": folder / "index.parquet",
    }  # fmt: skip
    return [
        {
            name: {
                **arguments,
                **{key: str(path) for key, path in files.items() if name in OWN and key in argument_names(OWN[name])},
            }
        }
        for item in process
        for name, arguments in item.items()
    ]


def by_recap(folder: Path, records: list[Record], process: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Of the rows that Recap's own run leaves the raw id, the text and the source."""
    operators = [
        Operator(name, name, arguments) for item in with_paths(folder, process) for name, arguments in item.items()
    ]
    done = run_recipe(
        Recipe("test", operators), records, image_root=folder, captions=folder / "captions.jsonl",
        raw_captions=folder / "raw_captions.jsonl",
    )  # fmt: skip
    return [(row.get("raw_id", row["id"]), row["text"], row["caption_source"]) for row in done.rows]


def told(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["id"], row["text"], row["caption_source"]) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("process", [PROCESS, PLACEBOS])
def test_operators_load_from_their_file(
    root: Path, exported: Path, records: list[Record], process: list[dict[str, Any]]
) -> None:
    operators = root / "src/recap/data/processing/operators.py"
    arguments = [str(operators), str(exported / "rows.jsonl"), json.dumps(with_paths(exported, process)), *OWN]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert told(json.loads(done.stdout)) == by_recap(exported, records, process) != []


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="dj-process needs Ray: pip install -e '.[ray]'")
@pytest.mark.parametrize("process", [PROCESS, PLACEBOS])
def test_dj_process(root: Path, folder: Path, records: list[Record], process: list[dict[str, Any]]) -> None:
    """As docs/DATA.md says, on an exported corpus, whose paths are relative; Data-Juicer says what it does."""
    write_jsonl(folder / "rows.jsonl", (record.to_row() for record in records))
    export(folder / "rows.jsonl", folder, folder / "exported", "data-juicer")
    (folder / "recipe.yaml").write_text(json.dumps({"process": with_paths(folder, process)}))
    command = [
        str(Path(sys.executable).parent / "dj-process"), "--config", "recipe.yaml", "--np", "2",
        "--dataset_path", "exported/train.jsonl", "--export_path", "out/rows.jsonl",
        "--custom-operator-paths", str(root / "src/recap/data/processing/operators.py"),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "blip2_caption_lookup_mapper" in done.stderr
    assert told(list(read_jsonl(folder / "out" / "rows.jsonl"))) == by_recap(folder, records, process)

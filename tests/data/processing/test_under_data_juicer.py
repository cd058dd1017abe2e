"""Recap's operators under Data-Juicer's own loader and command, on rows with markers and whole paths."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recap.data.corpus.records import Record, dj_text
from recap.io import read_jsonl, write_jsonl

PROCESS: list[dict[str, Any]] = [
    {"blip2_captioned_filter": {}},
    {"blip2_caption_mapper": {}},
    {"text_length_filter": {"min_len": 60}},
]

# What dj-process does, but for its executor.
PROGRAM = """
import json, sys
import recap.data.processing.juicer as juicer
for name in ("blip2_captioned_filter", "blip2_caption_mapper"):
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


def with_captions(folder: Path) -> list[dict[str, Any]]:
    captions = {"captions_path": str(folder / "captions.jsonl")}
    return [
        {name: {**arguments, **captions} if name.startswith("blip2") else arguments}
        for item in PROCESS
        for name, arguments in item.items()
    ]


def assert_recaptioned(rows: list[dict[str, Any]]) -> None:
    assert [row["id"] for row in rows][:2] == ["good", "tiny"] and len(rows) == 7
    assert rows[0]["text"] == "<__dj__image> a street with a sign and number 0 <|__dj__eoc|>"
    assert {row["caption_source"] for row in rows} == {"blip2"}


@pytest.mark.slow
def test_operators_load_from_their_file(root: Path, exported: Path) -> None:
    operators = root / "src/recap/data/processing/operators.py"
    arguments = [str(operators), str(exported / "rows.jsonl"), json.dumps(with_captions(exported))]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_recaptioned(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="dj-process needs Ray: pip install -e '.[ray]'")
def test_dj_process(root: Path, exported: Path) -> None:
    recipe = {
        "project_name": "test", "dataset_path": str(exported / "rows.jsonl"), "np": 1,
        "export_path": str(exported / "out" / "rows.jsonl"), "process": with_captions(exported),
        "custom_operator_paths": [str(root / "src/recap/data/processing/operators.py")],
    }  # fmt: skip
    (exported / "recipe.yaml").write_text(json.dumps(recipe))
    command = [str(Path(sys.executable).parent / "dj-process"), "--config", str(exported / "recipe.yaml")]
    done = subprocess.run(command, cwd=exported, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert_recaptioned(list(read_jsonl(exported / "out" / "rows.jsonl")))

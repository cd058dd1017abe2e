"""What the machine may change in a result, and what not: whole runs in clones with cold caches, compared byte for byte.

Two to three minutes a run, so on demand: `RECAP_SAME_RESULT=1 pytest -m slow -n 0 tests/test_same_result.py`.
docs/RELIABILITY.md has what came out.
"""

import os
import re
from pathlib import Path

import pytest

from tests.clones import Clone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("RECAP_SAME_RESULT" not in os.environ, reason="whole runs; RECAP_SAME_RESULT=1 asks for them"),
]

BATCHES_AND_WORKERS = {
    "caption_batch_size": 5, "caption_threads": 1, "align_batch_size": 7, "answer_batch_size": 3, "process_workers": 2,
    "dataloader_workers": 0,
}  # fmt: skip
# Durations, and the page that shows them, differ always.
RESULTS = ("metrics/*", "plots/**/*", "data/*.jsonl", "data/[acdfps]*/**/*", "models/[!t]*/**/*")
# What training writes down to the last bit of a weight.
TRAINED = re.compile(r"models/|plots/(pretrain|finetune)/|data/details/(pretrain|finetune|merge)|metrics/merge")


def results(folder: Path, *, threads: int = 1, machine: dict[str, int] | None = None) -> dict[str, str]:
    """Digests of everything that a whole run leaves but durations."""
    clone = Clone(folder)
    clone.env["OMP_NUM_THREADS"] = str(threads)
    path = clone.root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for name, value in (machine or {}).items():
        text, times = re.subn(rf"(?m)^(  {name}:)[^#\n]*", rf"\1 {value}  ", text)
        assert times == 1
    path.write_text(text, encoding="utf-8")
    clone.dvc("repro")
    return clone.digests(*RESULTS)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return results(tmp_path_factory.mktemp("first"))


def test_another_place_batches_and_workers_change_nothing(first: dict[str, str], tmp_path: Path) -> None:
    assert results(tmp_path / "Anna's own copy", machine=BATCHES_AND_WORKERS) == first


def test_threads_change_what_is_trained_and_nothing_else(first: dict[str, str], tmp_path: Path) -> None:
    other = results(tmp_path, threads=2)
    assert other.keys() == first.keys()
    changed = {path for path in first if first[path] != other[path]}
    assert "models/merged/model.safetensors" in changed
    assert {path for path in changed if not TRAINED.match(path)} == set()

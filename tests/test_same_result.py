"""What the machine may change in a result, and what not: whole runs in clones with cold caches, compared byte for byte.

Two to three minutes a run, so on demand: `RECAP_SAME_RESULT=1 pytest -m slow -n 0 tests/test_same_result.py`. With
folders of `pip install --no-deps --target FOLDER PACKAGE==VERSION` in RECAP_OTHER_PACKAGES, joined by colons, it also
says what those versions change (`-rP` shows it). docs/RELIABILITY.md has what came out.
"""

import os
import re
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.clones import TIMED, Clone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("RECAP_SAME_RESULT" not in os.environ, reason="whole runs; RECAP_SAME_RESULT=1 asks for them"),
]

BATCHES_AND_WORKERS = {
    "caption_batch_size": 5, "caption_threads": 1, "align_batch_size": 7, "answer_batch_size": 3, "process_workers": 2,
    "dataloader_workers": 0,
}  # fmt: skip
OTHER_PACKAGES = [folder for folder in os.environ.get("RECAP_OTHER_PACKAGES", "").split(os.pathsep) if folder]
# What training writes down to the last bit of a weight.
TRAINED = re.compile(r"models/|plots/(pretrain|finetune)/|data/details/(pretrain|finetune|merge)|metrics/merge")


def finished(
    folder: Path, *, threads: int = 1, machine: dict[str, int] | None = None, packages: str | None = None
) -> Clone:
    """A clone in which a whole run has ended."""
    clone = Clone(folder)
    clone.env["OMP_NUM_THREADS"] = str(threads)
    if packages is not None:
        clone.env["PYTHONPATH"] = os.pathsep.join((packages, clone.env["PYTHONPATH"]))
    path = clone.root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for name, value in (machine or {}).items():
        text, times = re.subn(rf"(?m)^(  {name}:)[^#\n]*", rf"\1 {value}  ", text)
        assert times == 1
    path.write_text(text, encoding="utf-8")
    clone.dvc("repro")
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return finished(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def first(clone: Clone) -> dict[str, str]:
    """Digests of everything that a whole run leaves but durations."""
    return clone.outputs()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return finished(tmp_path_factory.mktemp("second") / "Anna's own copy", machine=BATCHES_AND_WORKERS)


def test_another_place_batches_and_workers_change_nothing(first: dict[str, str], elsewhere: Clone) -> None:
    assert elsewhere.outputs() == first


def test_threads_change_what_is_trained_and_nothing_else(first: dict[str, str], tmp_path: Path) -> None:
    other = finished(tmp_path, threads=2).outputs()
    assert other.keys() == first.keys()
    changed = {path for path in first if first[path] != other[path]}
    assert "models/merged/model.safetensors" in changed
    assert {path for path in changed if not TRAINED.match(path)} == set()


@pytest.mark.parametrize("packages", OTHER_PACKAGES, ids=os.path.basename)
def test_other_versions_leave_the_same_files(first: dict[str, str], tmp_path: Path, packages: str) -> None:
    other = finished(tmp_path, packages=packages).outputs()
    assert other.keys() == first.keys()
    changed = sorted(path for path in first if first[path] != other[path])
    print(f"{packages}: {len(changed)} of {len(first)} files differ: {' '.join(changed)}")


def test_two_queued_experiments_end_as_one_after_the_other(clone: Clone, elsewhere: Clone) -> None:
    """LoRA of two ranks: finetuned and merged by two workers of one clone at once, in the workspace of the other."""
    experiments = {f"r{rank}": ("--name", f"r{rank}", "-S", f"lora.r={rank}") for rank in (2, 3)}
    for place in (clone, elsewhere):
        place.commit("the first run")
    for options in experiments.values():
        clone.dvc("exp", "run", "--queue", *options, "merge")
        elsewhere.dvc("exp", "run", *options, "merge")
    clone.dvc("queue", "start", "--jobs", "2")
    deadline = time.monotonic() + 3600
    while not all(name in clone.dvc("exp", "list", "--name-only").stdout.split() for name in experiments):
        assert time.monotonic() < deadline, clone.dvc("queue", "status").stdout
        time.sleep(2)
    left = {name: outputs(clone, name) for name in experiments}
    assert left == {name: outputs(elsewhere, name) for name in experiments}
    assert left["r2"]["models/adapter"] != left["r3"]["models/adapter"]
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert not list(clone.root.glob(".scratch/*/*"))


def outputs(clone: Clone, experiment: str) -> dict[str, str]:
    """Hashes of what an experiment left, by path, without durations and the page that shows them."""
    ref = clone.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{experiment}").stdout.strip()
    lock = YAML(typ="safe").load(clone.run("git", "show", f"{ref}:dvc.lock").stdout)
    outs = [out for stage in lock["stages"].values() for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if not out["path"].startswith(TIMED)}

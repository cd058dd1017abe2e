"""A user's own folder, run to the end: real photographs in official formats, and one with nothing but a corpus."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.clones import ALL_STAGES, Clone, ran

pytestmark = pytest.mark.slow


def clone_with_little_to_lend(folder: Path) -> Clone:
    """A clone whose embedded world, which lends what a user's folder lacks, is as small as the hamlet."""
    clone = Clone(folder)
    shutil.copy(clone.root / "worlds/hamlet/world.yaml", clone.root / "worlds/street/world.yaml")
    clone.commit("a small world")
    return clone


def test_real_photographs_run_to_the_end(shared: Path, tmp_path: Path) -> None:
    clone = clone_with_little_to_lend(tmp_path)
    done = clone.dvc("exp", "run", "-S", f"data.source={shared / 'photos'}")
    assert sorted(ran(done)) == sorted(ALL_STAGES)
    details = json.loads((clone.root / "data/details/prepare.json").read_text())["prepare"]
    assert details["sources"] == {
        "corpus": "user", "finetune": "user", "textvqa": "user", "mmbench": "embedded", "vqav2": "embedded",
        "gqa": "embedded", "okvqa": "embedded",
    }  # fmt: skip
    assert details["corpus"]["rows"] == 20
    checked = json.loads((clone.root / "data/details/check.json").read_text())["check"]
    assert checked["wiring_only"] and "only tests the wiring" in done.stderr
    assert json.loads((clone.root / "data/details/textvqa.json").read_text())["textvqa"]["num_scored"] == 18


def test_a_folder_with_only_a_corpus_borrows_the_rest(tmp_path: Path) -> None:
    clone = clone_with_little_to_lend(tmp_path)
    mine = tmp_path / "mine"
    (mine / "images").mkdir(parents=True)
    rows = []
    for number in range(12):
        Image.new("RGB", (240, 230), (20 * number, 90, 160)).save(mine / f"images/{number}.png")
        caption = f"a picture of thing number {number}"
        rows.append({"id": f"row{number}", "caption": caption, "image": f"images/{number}.png"})
    rows.append({"id": "broken", "caption": "nothing there", "image": "images/none.png"})
    (mine / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = clone.dvc("exp", "run", "-S", f"data.source={mine}", "-S", "data.max_rejected=10", "-S", "recipe=baseline")
    assert sorted(ran(done)) == sorted(ALL_STAGES)
    details = json.loads((clone.root / "data/details/prepare.json").read_text())["prepare"]
    assert details["sources"]["corpus"] == "user" and details["sources"]["finetune"] == "embedded"
    metrics = json.loads((clone.root / "metrics/prepare.json").read_text())["prepare"]
    assert metrics["corpus"]["rejected"] == 1
    rejected = (clone.root / "data/corpus/rejected.jsonl").read_text(encoding="utf-8")
    assert json.loads(rejected)["reason"] == "missing_image"


def test_paths_may_hold_blanks_and_apostrophes(tmp_path: Path) -> None:
    """As DVC puts them into commands, and as a shell reads those."""
    clone = Clone(tmp_path)
    odd = "models/the user's own models"
    shutil.copytree(clone.root / "models/tiny/captioner", clone.root / odd / "captioner")
    mine = clone.root / "data of mine" / "the user's"
    shutil.copytree(clone.root / "worlds/hamlet", mine)
    params = (clone.root / "params.yaml").read_text()
    (source,) = re.findall(r"^  source: .*$", params, re.MULTILINE)
    params = params.replace(source, '  source: "data of mine/the user\'s"')
    params = params.replace("path: models/tiny/captioner", f'path: "{odd}/captioner"')
    (clone.root / "params.yaml").write_text(params)
    outputs = {"prepare": "finetune/train.json", "check": "checks.json", "caption": "candidates.jsonl"}
    for stage, output in outputs.items():
        clone.dvc("repro", "--single-item", stage)
        assert (clone.root / "data" / output).is_file(), stage

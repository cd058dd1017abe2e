"""How much a run pushes: what the command says is what arrives, and what is estimated follows from its formulas."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from recap.experiments.sharing.estimate import Part, estimate_run, estimate_table
from recap.experiments.sharing.objects import objects_of
from recap.experiments.sharing.sizes import Size, distinct, sizes_of, table
from recap.runtime.errors import UserError
from tests.experiments.stub_project import Project
from tests.remotes.servers import folder
from tests.remotes.small import SHARE, log_in, make_remote
from tests.remotes.stored import stored


@pytest.mark.slow
def test_what_it_says_is_what_arrives(author: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo

    with folder(tmp_path / "remote") as served:
        log_in(author, served)
        author.run(*SHARE)
        arrived = stored(served).all()
    monkeypatch.chdir(author.root)
    with Repo() as repo:
        sizes = list(distinct(size for name in ("baseline", "blip2") for size in sizes_of(repo, name)))
        objects = {each for name in ("baseline", "blip2") for each in objects_of(repo, author.experiment(name))}
    cached = [size for size in sizes if not size.in_git]
    oids = {each.oid: each.is_list for each in objects}
    assert sum(size.objects for size in cached) == len(oids)
    assert sum(size.bytes for size in cached) == sum(len(arrived[oid]) for oid, is_list in oids.items() if not is_list)
    assert "models/merged" in {size.path for size in cached}


@pytest.mark.slow
def test_checkpoints_drafts_and_stores_never_go(tmp_path: Path, root: Path) -> None:
    project = Project.create(tmp_path)
    shutil.copy(root / ".dvcignore", project.root)
    places = (
        ".scratch/pretrain/key/checkpoint-60",
        "models/merged/.weights.k3x9_2ab",
        ".dvc/recap-store",
        "models/hub",
    )
    for place in places:
        project.edit("train.sh", "set -e\n", f"set -e\nmkdir -p {place}\necho 'never goes' > {place}/file\n")
    (tmp_path / "remote").mkdir()
    make_remote(project, str(tmp_path / "remote"))
    project.commit("where artifacts lie")
    project.make()
    project.git("init", "-q", "--bare", str(tmp_path / "origin.git"))
    project.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    project.run(*SHARE)
    assert all((project.root / place / "file").is_file() for place in places)
    pushed = [path for path in (tmp_path / "remote").rglob("*") if path.is_file()]
    assert pushed and not [path for path in pushed if b"never goes" in path.read_bytes()]


def test_outputs_lie_where_no_pretrained_model_does(root: Path) -> None:
    lock = YAML(typ="safe").load(root / "dvc.lock")
    outputs = [out["path"] for stage in lock["stages"].values() for out in stage["outs"]]
    assert {path.split("/")[0] for path in outputs} == {"data", "metrics", "models", "plots"}
    assert not [path for path in outputs if path.startswith(("models/hub", "models/tiny"))]


def test_a_file_that_two_runs_have_in_common_counts_once() -> None:
    shared = Size("prepare", "data/corpus", "a.dir", 3, 2_000_000, False)
    own = Size("report", "data/report/index.html", "b", 1, 500_000, False)
    metrics = Size("report", "metrics/report.json", "c", 1, 10_000, True)
    lines = table(list(distinct([shared, own, shared, metrics]))).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["prepare", "4", "2.00", "0", "0.00"],  # the folder's list is a file more
        ["report", "2", "0.51", "1", "0.01"],
        ["together", "6", "2.51", "1", "0.01"],
    ]


@pytest.fixture(scope="module")
def parts(root: Path) -> dict[str, Part]:
    """MGM-2B on 30,000 pairs; ten rows of the run at hand have 900 bytes of captions and 100 of processed rows."""
    sizes = [
        Size("caption", "data/captions.jsonl", "a", 1, 900, False),
        Size("process", "data/processed/train.jsonl", "b", 1, 100, False),
        Size("merge", "models/merged", "c.dir", 6, 12345, False),
    ]
    found = estimate_run(
        sizes, 10, root / "profiles/mgm-2b.yaml", rows=30_000, finetune_rows=240_000, picture_bytes=60_000
    )
    return {part.name: part for part in found}


@pytest.mark.slow
def test_pictures_go_as_shards_and_text_by_the_row(parts: dict[str, Part]) -> None:
    assert parts["data/corpus"].bytes == 30_000 * 62_048
    # 1.86 GB in shards of 256 MB are eight; the index, the rejected rows and the folder's list stand beside them.
    assert parts["data/corpus"].files == 8 + 3
    assert (parts["text by the row"].bytes, parts["text by the row"].files) == (30_000 * 100, 2)


@pytest.mark.slow
def test_weights_are_counted_from_the_models_sizes(parts: dict[str, Part]) -> None:
    # Query, key and value projectors, each a LayerNorm and a linear layer, and the MLP of two linear layers.
    query = 2 * 1024 + 1024 * 1024 + 1024
    key = value = 2 * 2880 + 2880 * 1024 + 1024
    mlp = 1024 * 2048 + 2048 + 2048 * 2048 + 2048
    connectors = query + key + value + mlp
    assert parts["models/projector"].bytes == 4 * connectors
    # Gemma's layers: q, k, v, o, gate, up and down, at rank 16.
    widths = [(2048, 2048), (2048, 256), (2048, 256), (2048, 2048), (2048, 16384), (2048, 16384), (16384, 2048)]
    lora = 18 * sum(16 * (inputs + outputs) for inputs, outputs in widths)
    assert parts["models/adapter"].bytes == 4 * (connectors + lora)
    # Gemma, CLIP, ConvNeXt.
    assert parts["models/merged"].bytes == 2 * (2_506_172_416 + 303_507_456 + 196_227_264 + connectors)
    assert parts["models/merged"].files == 7
    assert estimate_table(list(parts.values())).splitlines()[-2].split()[0] == "together"


def test_without_a_run_there_is_nothing_to_estimate_from(root: Path) -> None:
    with pytest.raises(UserError, match="expected a run that ended"):
        estimate_run([], 10, root / "params.yaml", rows=1, finetune_rows=1, picture_bytes=1)

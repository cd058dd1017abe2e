"""The embedded world as files: the corpus, the finetune set, and the same bytes every time."""

import hashlib
import shutil
from pathlib import Path

import pytest

from recap.data.benchmarks.registry import WITH_FILES
from recap.data.corpus.images import open_image
from recap.data.corpus.index import INDEX, index_rows
from recap.data.corpus.records import read_conversations
from recap.data.sources.embedded import write_benchmark, write_corpus, write_finetune
from recap.params import read_yaml, validate
from recap.world.settings import WorldSettings


def load(root: Path, name: str) -> WorldSettings:
    path = root / "worlds" / name / "world.yaml"
    return validate(WorldSettings, read_yaml(path), path)


def write_all(world: WorldSettings, folder: Path) -> None:
    for made in (folder / "corpus", folder / "work"):
        made.mkdir(parents=True)
    write_corpus(world, folder / "corpus", work=folder / "work")
    shutil.rmtree(folder / "work")
    write_finetune(world, folder / "finetune")
    for name in WITH_FILES:
        write_benchmark(name, world, folder / name)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def hamlet(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hamlet")
    write_all(load(root, "hamlet"), folder)
    return folder


def test_same_seed_same_bytes(root, hamlet, tmp_path) -> None:
    write_all(load(root, "hamlet"), tmp_path)
    assert digests(tmp_path) == digests(hamlet)


def test_corpus_files(hamlet) -> None:
    assert {file.name for file in (hamlet / "corpus").iterdir()} == {"index.parquet", "shard-00000.tar"}
    rows = list(index_rows(hamlet / "corpus" / INDEX))
    assert len(rows) == len({row["id"] for row in rows}) == len({row["image"] for row in rows}) == 64
    for row in rows:
        assert row["format"] == "JPEG"
        assert open_image(hamlet / "corpus", row["image"]).size == (row["width"], row["height"])


def test_finetune_files(hamlet) -> None:
    rows = read_conversations(hamlet / "finetune" / "train.json")
    assert len(rows) == 48
    for row in rows:
        speakers = [message["from"] for message in row["conversations"]]
        assert speakers == ["human", "gpt"] * (len(speakers) // 2)
        assert 2 <= len(speakers) // 2 <= 4
        tags = [message["value"].count("<image>") for message in row["conversations"]]
        assert sum(tags) == ("image" in row)
        if "image" in row:
            assert row["conversations"][0]["value"].startswith("<image>\n")
            assert (hamlet / "finetune" / row["image"]).is_file()

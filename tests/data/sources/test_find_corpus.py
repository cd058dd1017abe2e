"""Which of a user's files is the corpus, and what is told about the others."""

import logging

import pytest

from recap.data.corpus.images import stored_image
from recap.data.corpus.index import INDEX, CorpusIndex, index_rows
from recap.data.sources.first_look import look
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import user_files
from recap.data.sources.user_corpus import find_corpus, take_corpus
from recap.runtime.errors import UserError
from tests.format_files import Folder, picture

ROW = {"text": "words", "image": "c.png"}
TABLE = [["caption", "image"], ["words", "c.png"]]


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "user")


@pytest.mark.parametrize("name", ["train.csv", "train.tsv", "train.json", "train.jsonl"])
def test_a_file_of_a_usual_name(folder, name: str) -> None:
    path = folder.lines(name, [ROW])
    assert user_files(folder.path) == {"corpus": path}


def test_what_is_called_like_a_corpus_and_not_read_is_named(folder, caplog) -> None:
    folder.csv("train.csv", TABLE)
    folder.lines("train.jsonl", [ROW])
    (folder.path / "train").mkdir()
    with caplog.at_level(logging.WARNING):
        assert find_corpus(folder.path) == folder.path / "train.jsonl"
        assert find_corpus(folder.path, "csv") == folder.path / "train.csv"
    assert "the corpus is read from train.jsonl; not read: train" in caplog.messages[0]
    assert "the corpus is read from train.csv; not read: train" in caplog.messages[1]
    files = user_files(folder.path)
    assert [path.name for path in look(folder.path, files, ())] == ["train.csv"]


def test_a_format_that_is_not_there(folder) -> None:
    folder.lines("train.jsonl", [ROW])
    with pytest.raises(UserError, match=r"expected a corpus of data\.format parquet: .*; found train\.jsonl"):
        find_corpus(folder.path, "parquet")


def test_the_folder_itself(folder) -> None:
    assert find_corpus(folder.path) is None, "images alone are no corpus"
    folder.text("c.txt", "words")
    assert find_corpus(folder.path) == folder.path
    (folder.path / "c.txt").rename(folder.path / "c.TXT")
    assert find_corpus(folder.path) == folder.path
    (folder.path / "c.TXT").unlink()
    folder.text("images/a.txt", "words")
    assert find_corpus(folder.path) is None, "they may be pictures of the finetune set"
    assert find_corpus(folder.path, "image_folder") == folder.path
    folder.tar("part-0.tar", {"a.png": picture(9), "a.txt": "words"})
    assert find_corpus(folder.path) == folder.path


def test_files_of_rows_in_a_folder(folder) -> None:
    """As Data-Juicer exports shards; in the user's own folder they may be anything."""
    folder.lines("finetune.jsonl", [ROW])
    assert find_corpus(folder.path) is None
    with pytest.raises(UserError, match=r"expected a corpus of data\.format json"):
        find_corpus(folder.path, "json")
    folder.lines("train/out-00-of-02.jsonl", [ROW])
    assert find_corpus(folder.path) == folder.path / "train"


def test_pictures_inside_rows_come_into_the_corpus(folder, tmp_path) -> None:
    for number in range(2):
        members = {"k.png": picture(number), "k.txt": f"words {number}", "k.json": '{"score": 0.5}'}
        folder.tar(f"train/{number}.tar", members)
    out, work = tmp_path / "out", tmp_path / "work"
    for made in (out, work):
        made.mkdir()
    part = take_corpus(folder.path / "train", out, Terms(work=work))
    assert (part.rows, part.rejections) == (2, [])
    rows = list(index_rows(out / INDEX))
    assert [(row["id"], row["image"], row["fields"]) for row in rows] == [
        ("0.tar:k", "0/k.png", {"score": 0.5}),
        ("1.tar:k", "1/k.png", {"score": 0.5}),
    ]
    assert [stored_image(CorpusIndex(out), row["image"]) for row in rows] == [picture(0), picture(1)]

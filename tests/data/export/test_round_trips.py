"""Recap's corpus into each format and back, and users' files through Recap: the same on what both can say."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from recap.data.corpus.images import stored_image
from recap.data.corpus.index import INDEX, CorpusIndex
from recap.data.corpus.records import Record, read_corpus
from recap.data.export.exporting import export
from recap.data.export.pairs import Pair
from recap.data.export.parquet import column_types
from recap.data.export.writers import write_llava
from recap.data.formats.source import open_source
from recap.data.sources.pictures import Terms
from recap.data.sources.user_corpus import find_corpus, take_corpus
from recap.runtime.errors import UserError
from tests.format_files import Folder, picture

FORMATS = ("llava", "webdataset", "parquet", "data-juicer")

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
CAPTIONS = WORDS.map(str.strip).filter(lambda text: text and "__dj__" not in text)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | WORDS
)
# A name that says what a row's own columns say, in any spelling, is not the user's to give.
NAMES = st.sampled_from(["score", "source", "größe", "split", "a b", "width"])
ROWS = st.lists(st.tuples(CAPTIONS, st.sampled_from(["images/a.png", "images/b.png", "c.png"])), min_size=1, max_size=6)


def taken(source: Path) -> Path:
    """A user's folder as a corpus."""
    out, work = (Path(tempfile.mkdtemp(dir=source.parent)) for _ in range(2))
    corpus = find_corpus(source)
    assert corpus is not None
    part = take_corpus(corpus, out, Terms(work=work), open_corpus=lambda path: open_source(path, root=source))
    assert part.rejections == []
    return out


def content(corpus: Path) -> list[tuple[Record, bytes]]:
    index = CorpusIndex(corpus)
    return [(record, stored_image(index, record.image)) for record in read_corpus(corpus / INDEX)]


@pytest.mark.parametrize("to", FORMATS)
@settings(max_examples=15, deadline=None)
@given(rows=ROWS, data=st.data())
def test_recap_to_a_format_and_back(to: str, rows: list[tuple[str, str]], data: st.DataObject) -> None:
    # In a table a column has one type, and a field without a value is none.
    kind = data.draw(st.sampled_from([st.booleans(), st.integers(-(2**62), 2**62), WORDS, st.lists(WORDS)]))
    values = kind if to == "parquet" else SCALARS | st.lists(SCALARS) | st.dictionaries(WORDS, SCALARS)
    written = [
        {"id": f"r{number}", "text": caption, "images": [image], **data.draw(st.dictionaries(NAMES, values))}
        for number, (caption, image) in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Folder(Path(temporary) / "user")
        folder.lines("train.jsonl", written)
        corpus = taken(folder.path)
        assert export(corpus / INDEX, corpus, Path(temporary) / "out", to) == len(rows)
        again = taken(Path(temporary) / "out")
        before, after = content(corpus), content(again)
        if to == "llava":
            for record, _ in after:
                assert record.fields.pop("prompt") == "<image>"  # type: ignore[attr-defined]
        assert after == before


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, prompt=st.sampled_from(["<image>\nDescribe it.", "What is this?\n<image>"]), score=SCALARS)
def test_llava_to_recap_and_back(rows: list[tuple[str, str]], prompt: str, score: Any) -> None:
    written = [
        {
            "id": f"{number:09d}",
            "image": image,
            "conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": caption}],
            "score": score,
        }
        for number, (caption, image) in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Folder(Path(temporary) / "user")
        folder.json("train.json", written)
        corpus = taken(folder.path)
        export(corpus / INDEX, corpus, Path(temporary) / "out", "llava")
        assert json.loads((Path(temporary) / "out/train.json").read_text(encoding="utf-8")) == written
        for name in {image for _, image in rows}:
            assert (Path(temporary) / "out" / name).read_bytes() == (folder.path / name).read_bytes()


@pytest.fixture
def processed(tmp_path: Path) -> Folder:
    """Rows as `process` writes them, beside pictures as files."""
    folder = Folder(tmp_path / "user")
    rows = [
        {"id": "a", "text": "<__dj__image> new words <|__dj__eoc|>", "images": ["c.png"], "raw_text": "old", "n": 1},
        {"id": "b", "text": "<__dj__image> others <|__dj__eoc|>", "images": ["c.png"], "raw_text": "old", "n": None},
    ]
    folder.lines("processed.jsonl", rows)
    return folder


def test_the_command(processed: Folder, tmp_path: Path) -> None:
    given = [f"--rows={processed.path / 'processed.jsonl'}", f"--images={processed.path}"]
    command = [sys.executable, "-m", "recap.data.export", "--to", "llava", *given, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"2 pairs of {processed.path / 'processed.jsonl'} as llava\n")
    rows = json.loads((tmp_path / "out/train.json").read_text())
    assert rows[0] == {
        "id": "a",
        "image": "c.png",
        "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "new words"}],
        "raw_text": "old",
        "n": 1,
    }
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and again.stderr.startswith("error: ") and len(again.stderr.splitlines()) == 1


def test_the_same_bytes_every_time(processed: Folder, tmp_path: Path) -> None:
    for to in FORMATS:
        for name in ("one", "two"):
            export(processed.path / "processed.jsonl", processed.path, tmp_path / to / name, to)
        one, two = (
            {file.relative_to(tmp_path / to / name): file.read_bytes() for file in (tmp_path / to / name).rglob("*.*")}
            for name in ("one", "two")
        )
        assert one == two


def test_datasets_shows_pictures(processed: Folder, tmp_path: Path) -> None:
    export(processed.path / "processed.jsonl", processed.path, tmp_path / "out", "parquet")
    dataset = load_dataset("parquet", data_files=str(tmp_path / "out/train.parquet"), cache_dir=str(tmp_path / "cache"))
    assert dataset["train"][0]["image"].size == (8, 6)
    assert dataset["train"]["n"][:] == [1, None]


def test_a_picture_that_is_gone(processed: Folder, tmp_path: Path) -> None:
    (processed.path / "c.png").unlink()
    with pytest.raises(UserError, match=r"processed\.jsonl: id 'a': missing_image: .*; run prepare"):
        export(processed.path / "processed.jsonl", processed.path, tmp_path / "out", "llava")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int64"),
        ([1, 2.5], "double"),
        ([None, "x"], "string"),
        ([1, "x"], "string"),
        ([2**70], "string"),
        ([{"a": 1}], "string"),
        ([[{"a": 1}]], "string"),
        ([["x"], []], "list<item: string>"),
        ([True, None], "bool"),
    ],
)
def test_a_column_has_one_type(values: list[Any], kind: str) -> None:
    assert str(column_types({"field": value} for value in values)["field"]) == kind


def test_pictures_of_one_name_are_written_once(tmp_path: Path, processed: Folder) -> None:
    export(processed.path / "processed.jsonl", processed.path, tmp_path / "out", "data-juicer")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["c.png", "train.jsonl"]
    assert (tmp_path / "out/c.png").read_bytes() == picture(2)


def test_a_name_that_leads_elsewhere_stays_inside(processed: Folder, tmp_path: Path) -> None:
    name = f"../{processed.path.name}/c.png"
    shown = Pair("a", name, "words", {}, picture(2))
    (tmp_path / "deep/out").mkdir(parents=True)
    assert write_llava([shown], tmp_path / "deep/out") == 1
    assert json.loads((tmp_path / "deep/out/train.json").read_text())[0]["image"] == f"{processed.path.name}/c.png"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["out"]

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.data.corpus.records import Record, caption_of, dj_text, read_conversations, read_corpus
from recap.io import write_jsonl
from recap.runtime.errors import UserError

captions = st.text(st.characters(exclude_categories=["Cs"])).map(str.strip).filter(lambda text: "__dj__" not in text)


@given(captions)
def test_marking_a_caption_and_reading_it_back_is_the_identity(caption: str) -> None:
    assert caption_of(dj_text(caption)) == caption


def test_rows_are_data_juicers() -> None:
    record = Record(id="a", image="images/a.jpg", caption="a red car")
    row = {"id": "a", "text": "<__dj__image> a red car <|__dj__eoc|>", "images": ["images/a.jpg"]}
    assert record.to_row() == row
    assert Record.from_row({**row, "raw_text": "car", "caption_source": "blip2"}) == record


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("<__dj__image> a car <|__dj__eoc|>", "a car"),
        ("a car <__dj__image><|__dj__eoc|>", "a car"),
        ("a <__dj__image> car", "a car"),
        ("no markers", "no markers"),
        ("<__dj__image>  <|__dj__eoc|>", ""),
        ("two  spaces stay", "two  spaces stay"),
    ],
)
def test_caption_of(text: str, caption: str) -> None:
    assert caption_of(text) == caption


def test_corpus_is_read_in_file_order(tmp_path) -> None:
    records = [Record(id=str(n), image=f"images/{n}.jpg", caption=f"photo {n}") for n in (3, 1, 2)]
    write_jsonl(tmp_path / "train.jsonl", (record.to_row() for record in records))
    assert read_corpus(tmp_path / "train.jsonl") == records


def test_a_row_that_is_no_pair_is_named(tmp_path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [{"id": "a", "text": "a car", "images": []}])
    with pytest.raises(UserError, match=r"train\.jsonl: row 1: expected id, text and one image"):
        read_corpus(tmp_path / "train.jsonl")


def test_conversations_are_a_list_of_objects(tmp_path) -> None:
    path = tmp_path / "train.json"
    rows = [{"id": "a", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}]
    path.write_text(json.dumps(rows))
    assert read_conversations(path) == rows
    path.write_text('{"id": "a"}')
    with pytest.raises(UserError, match="expected a list"):
        read_conversations(path)
    path.write_text('[{"id": "a"}]')
    with pytest.raises(UserError, match="item 1"):
        read_conversations(path)

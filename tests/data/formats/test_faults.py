"""A fault costs its own row; what is broken as a whole is one line."""

import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from recap.data.formats import json_text
from recap.data.formats.source import open_source
from recap.runtime.errors import UserError
from tests.format_files import Folder, picture, read

GOOD = {"id": "x", "text": "words", "image": "c.png"}


@pytest.mark.parametrize(
    ("row", "reason", "row_id"),
    [
        ('{"id": "x", "te', "broken_json", None),
        ("[1]", "not_an_object", None),
        ({**GOOD, "id": True}, "missing_id", None),
        ({**GOOD, "text": 3}, "missing_text", "x"),
        ({**GOOD, "text": "half \ud83d"}, "broken_text", "x"),
        ({**GOOD, "text": " \t"}, "empty_caption", "x"),
        ({**GOOD, "text": ["one", "two"]}, "several_captions", "x"),
        ({**GOOD, "image": ["a", "b"]}, "several_images", "x"),
        ({**GOOD, "image": None}, "no_image", "x"),
        ({**GOOD, "image": 7}, "no_image", "x"),
        ({"id": "x", "image": "c.png", "conversations": []}, "broken_conversation", "x"),
        ({"image": "c.png", "conversations": [{"from": "gpt", "value": "hm"}]}, "broken_conversation", None),
        ({**GOOD, "conversations": [{"from": who, "value": "hm"} for who in ("human", "gpt") * 2]},
         "broken_conversation", "x"),
    ],
)  # fmt: skip
def test_a_fault_costs_its_own_row(folder: Folder, row, reason: str, row_id: str | None) -> None:
    lines = [json.dumps(GOOD), row if isinstance(row, str) else json.dumps(row), json.dumps(GOOD)]
    rows, [rejected] = read(folder.text("t.jsonl", "\n".join(lines)))
    assert len(rows) == 2
    assert (rejected.where, rejected.reason, rejected.id) == ("t.jsonl:2", reason, row_id)
    assert len(rejected.detail) < 300 and "\n" not in rejected.detail


def test_a_quote_that_is_never_closed_costs_its_line(folder: Folder) -> None:
    lines = ["caption,image", "one,c.png", '"two,c.png', *[f"row {n},c.png" for n in range(50)], '"last, row",c.png']
    rows, rejected = read(folder.text("t.csv", "\n".join(lines) + "\n"))
    assert [row.where for row in rejected] == ["t.csv:3"] and rejected[0].reason == "broken_row"
    assert [row.where for row in rows] == ["t.csv:2", *[f"t.csv:{n}" for n in range(4, 55)]]
    assert rows[-1].caption == "last, row"


def test_a_cell_with_a_raw_comma(folder: Folder) -> None:
    rows, [rejected] = read(folder.text("t.csv", "caption,image\none, two,c.png\nthree,c.png\n"))
    assert (rejected.where, rejected.reason) == ("t.csv:2", "broken_row")
    assert [row.caption for row in rows] == ["three"]


def test_bytes_that_are_not_utf_8_cost_their_row(folder: Folder) -> None:
    content = b"\xef\xbb\xbfcaption,image\ncaf\xe9,c.png\nwords,c.png\n"
    rows, [rejected] = read(folder.binary("t.csv", content))
    assert rejected.reason == "broken_text" and [row.caption for row in rows] == ["words"]
    assert rejected.detail == "'caption' holds a byte that is not UTF-8 at character 3"


def test_samples_without_a_picture_or_with_two(folder: Folder) -> None:
    members = {
        "a.txt": "words",
        "b.jpg": picture(1),
        "b.png": picture(2),
        "b.txt": "w",
        "c.jpg": picture(3),
        "c.txt": "w",
    }
    rows, rejected = read(folder.tar("t.tar", members))
    assert [row.where for row in rows] == ["t.tar:c"]
    assert [(row.where, row.reason) for row in rejected] == [("t.tar:a", "no_image"), ("t.tar:b", "several_images")]


def test_several_captions_of_a_sample(folder: Folder) -> None:
    picture_of_a = {"a.png": picture(1), "a.0.txt": "one", "a.1.txt": "two"}
    rows, [rejected] = read(folder.tar("t.tar", {**picture_of_a, "b.0.txt": "words", "b.PNG": picture(2)}))
    assert (rejected.where, rejected.reason) == ("t.tar:a", "several_captions")
    assert [(row.where, row.caption) for row in rows] == [("t.tar:b", "words")]


def test_a_file_of_a_tar_that_is_no_samples_is_reported(folder: Folder) -> None:
    """Before, within and behind the samples; what the system puts into a tar is no row of the user's."""
    sample = {"a.png": picture(1), "x/notes": "mine", "a.txt": "words"}
    members = {
        "README": "first",
        **sample,
        "a.__bad__": "",
        ".txt": "words",
        "._a.png": "",
        "x/.DS_Store": "",
        "0": "0",
    }
    rows, rejected = read(folder.tar("t.tar", members))
    assert [(row.where, row.caption) for row in rows] == [("t.tar:a", "words")]
    assert [row.where for row in rejected] == [
        f"t.tar:{name}" for name in ("README", "x/notes", "a.__bad__", ".txt", "0")
    ]
    assert {row.reason for row in rejected} == {"broken_row"}


def test_two_files_of_one_name_in_a_tar(folder: Folder) -> None:
    path = folder.path / "t.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a.png", "a.txt", "a.txt", "b.png", "b.txt", "__meta__", "._c.png", "c.png", "c.txt"):
            info = tarfile.TarInfo(name)
            content = picture(1) if name.endswith("png") else b"words"
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    rows, [rejected] = read(path)
    assert (rejected.where, rejected.reason) == ("t.tar:a", "broken_row")
    assert [row.where for row in rows] == ["t.tar:b", "t.tar:c"]


def test_images_without_a_caption(folder: Folder) -> None:
    folder.text("images/a.txt", "words")
    rows, rejected = read(folder.path)
    assert [row.where for row in rows] == ["images/a.png"]
    assert {(row.where, row.reason) for row in rejected} == {
        ("images/b.png", "missing_text"),
        ("c.png", "missing_text"),
    }


def test_a_caption_of_an_image_that_coco_does_not_list(folder: Folder) -> None:
    captions = [{"id": 1, "image_id": 9, "caption": "words"}, {"id": 2, "image_id": 5, "caption": "words"}]
    path = folder.json("c.json", {"images": [{"id": 5, "file_name": "c.png"}], "annotations": captions})
    [row], [rejected] = read(path)
    assert (row.id, row.image) == ("2", "c.png")
    assert (rejected.where, rejected.reason) == ("c.json:annotation 1", "no_image")


def _whole(folder: Folder, name: str) -> Path:
    match name:
        case "t.json":
            return folder.json(name, [GOOD] * 30)
        case "t.tar":
            return folder.tar(name, {"a.png": picture(1) * 900, "a.txt": "words"})
        case _:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([GOOD] * 5000), folder.path / name)
            return folder.path / name


@pytest.mark.parametrize("name", ["t.json", "t.tar", "t.parquet"])
def test_a_truncated_file_is_one_line(folder: Folder, name: str) -> None:
    path = _whole(folder, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(UserError, match=rf"{name}: expected ") as caught:
        list(open_source(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def _shards(folder: Folder, suffix: str) -> list[Path]:
    """Three files of thirty samples each."""
    paths = []
    for shard in range(3):
        rows = [{"text": f"{shard} {number}", "image": "c.png"} for number in range(30)]
        if suffix == ".parquet":
            paths.append(folder.path / f"train/{shard}.parquet")
            paths[-1].parent.mkdir(exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), paths[-1], row_group_size=10)
        else:
            members = {f"{n:03d}.txt": row["text"] for n, row in enumerate(rows)}
            members |= {f"{n:03d}.png": picture(n) for n in range(30)}
            mode = "w:gz" if suffix.endswith("gz") else "w"
            paths.append(folder.tar(f"train/{shard}{suffix}", dict(sorted(members.items())), mode))
    return paths


def _cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def _overwritten(content: bytes, by: bytes = b"\xff") -> bytes:
    """Without the first header of a file behind the middle of a tar."""
    middle = len(content) // 2 // 512 * 512
    while content[middle + 257 : middle + 262] != b"ustar":
        middle += 512
    return content[:middle] + by * 512 + content[middle + 512 :]


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".tar", _cut),
        (".tar", _overwritten),
        (".tar.gz", _cut),
        (".parquet", _cut),
        (".tar", bytes),
        (".parquet", bytes),
    ],
)
def test_a_damaged_file_among_others_costs_its_own_rows(folder: Folder, suffix: str, damage) -> None:
    damaged = _shards(folder, suffix)[1]
    damaged.write_bytes(damage(damaged.read_bytes()) if damage is not bytes else b"")
    rows, [rejected] = read(folder.path / "train")
    assert (rejected.where, rejected.id, rejected.reason) == (f"1{suffix}", None, "broken_file")
    assert str(damaged) in rejected.detail and "\n" not in rejected.detail and len(rejected.detail) < 400
    kept = [row.caption for row in rows]
    assert [caption for caption in kept if caption[0] != "1"] == [f"{n} {m}" for n in (0, 2) for m in range(30)]
    of_it = [caption for caption in kept if caption[0] == "1"]
    assert of_it == [f"1 {number}" for number in range(len(of_it))] and len(of_it) < 30
    if suffix == ".tar" and damage is not bytes:
        assert len(of_it) >= 10, "what can be read is lost"


@pytest.mark.parametrize(
    "damage", [_overwritten, lambda content: _overwritten(content, b"\0"), lambda content: content * 2]
)
def test_more_behind_the_end_of_a_tar_is_not_lost(folder: Folder, damage: Callable[[bytes], bytes]) -> None:
    """Python's reader of tars, and webdataset's with it, would stop there in silence."""
    (path, *_) = _shards(folder, ".tar")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"0\.tar: expected a whole tar of samples, found: no header at byte \d+$"):
        read(path)


URLS = [{"caption": "words", "url": f"https://example.org/{n}.jpg"} for n in range(3)]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_column_of_urls_is_one_line_that_says_what_to_do(folder: Folder, name: str) -> None:
    with pytest.raises(UserError, match=r"under 'url', found URLs in all of the first 3 rows.*img2dataset") as caught:
        open_source(folder.table(name, URLS))
    assert "\n" not in str(caught.value)


def test_urls_beside_pictures_are_a_field(folder: Folder) -> None:
    rows, rejected = read(folder.lines("t.jsonl", [{**row, "image": "c.png"} for row in URLS]))
    assert rejected == [] and rows[0].fields == {"url": "https://example.org/0.jpg"}


def test_a_table_without_a_line_of_names(folder: Folder) -> None:
    """As Conceptual Captions comes."""
    path = folder.csv("t.tsv", [["a station", "http://example.org/1"], ["a bus", "http://example.org/2"]], "\t")
    with pytest.raises(UserError, match=r"expected a line of column names, found a row: a station\thttp://"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", "a,b\n1,2\n", r"t\.csv: expected a column with the caption: one of text, .*; found a, b; name it"),
        ("t.csv", "text,b\n1,2\n", r"expected a column with the image"),
        ("t.csv", "", r"expected a line of column names"),
        ("t.json", '[{"text": "w", "image": "c.png"}] 7', r"one JSON array, found '7' behind it"),
        ("t.xlsx", "PK", r"expected image-caption pairs, one of json, csv, .*; found none; docs/DATA\.md"),
    ],
)  # fmt: skip
def test_a_source_that_is_none(folder: Folder, name: str, content: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        list(open_source(folder.text(name, content)))


def test_a_column_that_is_not_there(folder: Folder) -> None:
    path = folder.csv("t.csv", [["text", "image"], ["words", "c.png"]])
    with pytest.raises(UserError, match=r"expected a column with the id: 'nr'; found text, image"):
        open_source(path, columns={"id": "nr"})


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_utf_16_is_told(folder: Folder, name: str) -> None:
    """As Windows' shell redirects."""
    with pytest.raises(UserError, match=rf"{name}: expected UTF-8, found UTF-16"):
        open_source(folder.binary(name, json.dumps(GOOD).encode("utf-16")))


def test_names_that_are_not_utf_8_are_spelt_out(folder: Folder) -> None:
    with tarfile.open(folder.path / "t.tar", "w", errors="surrogateescape") as tar:
        for name, content in (("caf\udce9.png", picture(1)), ("caf\udce9.txt", b"words")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    [row], rejected = read(folder.path / "t.tar")
    assert rejected == [] and (row.id, row.image) == (r"t.tar:caf\udce9", r"t/caf\udce9.png")


def test_lists_within_lists_cost_a_field_or_a_row(folder: Folder) -> None:
    deep = "[" * 900 + "]" * 900
    lines = [f'{{"text": "w", "image": "c.png", "more": {deep}}}', f'{{"text": {deep}, "image": "c.png"}}']
    endless = f'{{"text": "w", "image": "c.png", "more": {"[" * 10**5}{"]" * 10**5}}}'
    number = f'{{"text": "w", "image": "c.png", "more": {"9" * 5000}}}'
    [row], rejected = read(folder.text("t.jsonl", "\n".join([*lines, endless, number])))
    assert row.where == "t.jsonl:1" and row.fields == {}
    assert [fault.where for fault in rejected] == ["t.jsonl:2", "t.jsonl:3", "t.jsonl:4"]
    assert {fault.reason for fault in rejected} <= {"several_captions", "missing_text", "broken_json"}


def test_a_first_line_that_is_broken_costs_itself(folder: Folder) -> None:
    for line in ("{", '{"id": "x", "te', '{"text": "w", "more": oops}'):
        rows, [rejected] = read(folder.text("t.jsonl", f"{line}\n{json.dumps(GOOD)}\n"))
        assert len(rows) == 1 and (rejected.where, rejected.reason) == ("t.jsonl:1", "broken_json")


@pytest.mark.parametrize("content", [GOOD, {"data": [GOOD]}])
def test_an_object_over_several_lines_is_told(folder: Folder, content: dict) -> None:
    with pytest.raises(
        UserError, match=r"t\.json: expected an object in each line.*found an object over several lines"
    ):
        open_source(folder.text("t.json", json.dumps(content, indent=2)))


def test_two_columns_of_one_name_are_told(folder: Folder) -> None:
    """Python and Arrow alike would show the last one."""
    arrays = [pyarrow.array([value]) for value in ("one", "two", "c.png")]
    path = folder.path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, names=["text", "text", "image"]), path)
    for source in (path, folder.csv("t.csv", [["", "text", "text", "", "image"], ["", "one", "two", "", "c.png"]])):
        with pytest.raises(UserError, match=r"expected columns of different names, found 'text' twice"):
            open_source(source)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.csv", "t.parquet", "t.tar"])
def test_memory_does_not_grow_with_rows(folder: Folder, name: str, monkeypatch) -> None:
    monkeypatch.setattr(json_text, "CHARACTERS_AT_A_TIME", 2**14)
    peaks = []
    for count in (1_000, 4_000):
        rows = [{"text": f"words {number} " * 20, "image": "c.png"} for number in range(count)]
        if name == "t.tar":
            members = {f"{number:06d}": row["text"] for number, row in enumerate(rows)}
            texts = {f"{key}.txt": text for key, text in members.items()}
            path = folder.tar(name, dict(sorted({**texts, **{f"{key}.png": picture(1) for key in members}}.items())))
            del members, texts
        else:
            path = folder.table(name, rows, row_group_size=500)
        del rows
        source = open_source(path)
        tracemalloc.start()
        assert sum(1 for _ in source) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**19, peaks

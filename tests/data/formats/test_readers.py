"""Every format, written as its own tools write it, gives the same pairs."""

import base64
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from recap.data.corpus.records import dj_text
from recap.data.formats.samples import Sample
from recap.data.formats.source import READERS, open_source
from recap.params import DataParams
from recap.runtime.errors import UserError
from tests.format_files import Folder, picture, read

CAPTIONS = ["a red bus", 'a "blue" tram, late', "ein grünes Rad\nam Fluss"]
IMAGES = ["images/a.png", "images/b.png", "c.png"]
ROWS = [
    {"id": f"r{number}", "caption": caption, "image": image, "width": 8 + number}
    for number, (caption, image) in enumerate(zip(CAPTIONS, IMAGES, strict=True))
]


def data_juicer(folder: Folder) -> Path:
    rows = [
        {"id": row["id"], "text": dj_text(row["caption"]), "images": [row["image"]], "width": row["width"]}
        for row in ROWS
    ]
    return folder.lines("train.jsonl", rows)


def llava(folder: Folder) -> Path:
    said = [
        [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": row["caption"]}] for row in ROWS
    ]  # fmt: skip
    rows = [{**row, "conversations": turns} for row, turns in zip(ROWS, said, strict=True)]
    return folder.json("train.json", [{key: row[key] for key in row if key != "caption"} for row in rows])


def table(folder: Folder, name: str, delimiter: str) -> Path:
    return folder.csv(name, [list(ROWS[0]), *[list(row.values()) for row in ROWS]], delimiter)


def parquet_of_paths(folder: Folder) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder.path / "train.parquet")
    return folder.path / "train.parquet"


def parquet_of_pictures(folder: Folder) -> Path:
    """As datasets writes it, a file per row."""
    for number, row in enumerate(ROWS):
        image = {"bytes": (folder.path / row["image"]).read_bytes(), "path": row["image"]}
        path = folder.path / f"train/data/part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{**row, "image": image}]), path)
    return folder.path / "train"


def webdataset(folder: Folder, mode: str = "w", suffix: str = ".tar") -> Path:
    for number, row in enumerate(ROWS):
        members = {
            f"{number:05d}.png": (folder.path / row["image"]).read_bytes(),
            f"{number:05d}.txt": row["caption"],
            f"{number:05d}.json": json.dumps({key: row[key] for key in ("id", "image", "width")}),
        }
        folder.tar(f"train/shard-{number}{suffix}", members, mode)
    return folder.path / "train"


def saved_dataset(folder: Folder) -> Path:
    images = [{"bytes": (folder.path / row["image"]).read_bytes(), "path": row["image"]} for row in ROWS]
    rows = [{**row, "image": image} for row, image in zip(ROWS, images, strict=True)]
    whole = datasets.Dataset.from_list([*rows, *rows]).cast_column("image", datasets.Image())
    # A selection is saved with a table of indices beside the rows.
    datasets.DatasetDict({"train": whole.select([0, 4, 2]), "test": whole}).save_to_disk(folder.path / "train")
    return folder.path / "train"


def in_files(folder: Folder, suffix: str) -> Path:
    """A file per row; whose pictures lie in a folder beside it is no folder of pictures."""
    for number, row in enumerate(ROWS):
        folder.table(f"train/part-{number}{suffix}", [row])
    folder.binary("train/pictures/stray.png", picture(9))
    return folder.path / "train"


def image_folder(folder: Folder) -> Path:
    for row in ROWS:
        stem = row["image"].removesuffix(".png")
        folder.text(f"{stem}.txt", row["caption"] + "\n")
        folder.json(f"{stem}.json", {"id": row["id"], "width": row["width"]})
    return folder.path


def image_table(folder: Folder) -> Path:
    folder.lines("metadata.jsonl", [{"file_name": row["image"], **row, "image": None} for row in ROWS])
    return folder.path


def coco(folder: Folder) -> Path:
    images = [{"id": number, "file_name": row["image"]} for number, row in enumerate(ROWS)]
    rows = [{"id": row["id"], "image_id": number, "caption": row["caption"]} for number, row in enumerate(ROWS)]
    # Annotations may come first, and numbers are no text.
    return folder.json("captions_train2017.json", {"info": {"year": 2017}, "annotations": rows, "images": images})


WRITERS: dict[str, tuple[str, Callable[[Folder], Path]]] = {
    "Data-Juicer JSONL": ("json", data_juicer),
    "plain JSONL": ("json", lambda folder: folder.lines("train.jsonl", ROWS)),
    "JSONL in .json": ("json", lambda folder: folder.lines("train.json", ROWS)),
    "JSON array": ("json", lambda folder: folder.json("train.json", ROWS)),
    "JSON array in .jsonl": ("json", lambda folder: folder.json("train.jsonl", ROWS)),
    "JSONL in a folder": ("json", lambda folder: in_files(folder, ".jsonl")),
    "CSV in a folder": ("csv", lambda folder: in_files(folder, ".csv")),
    "LLaVA": ("json", llava),
    "CSV": ("csv", lambda folder: table(folder, "train.csv", ",")),
    "CSV with semicolons": ("csv", lambda folder: table(folder, "train.csv", ";")),
    "CSV with bars": ("csv", lambda folder: table(folder, "train.csv", "|")),
    "TSV": ("csv", lambda folder: table(folder, "train.tsv", "\t")),
    "Parquet of paths": ("parquet", parquet_of_paths),
    "Parquet of pictures": ("parquet", parquet_of_pictures),
    "WebDataset": ("webdataset", webdataset),
    "WebDataset, gzip": ("webdataset", lambda folder: webdataset(folder, "w:gz", ".tar.gz")),
    "saved dataset": ("saved_dataset", saved_dataset),
    "folder of images": ("image_folder", image_folder),
    "folder with metadata": ("image_table", image_table),
    "COCO captions": ("coco", coco),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_pairs(folder: Folder, kind: str) -> None:
    format, write = WRITERS[kind]
    source = open_source(write(folder), root=folder.path if "in a folder" in kind else None)
    rows, rejected = read(source)
    assert source.format == format and rejected == []
    if format == "image_folder":
        rows.sort(key=lambda row: row.id)  # it has no order but that of names
    assert [row.id for row in rows] == ["r0", "r1", "r2"]
    assert [row.caption for row in rows] == CAPTIONS
    # datasets keeps the last part of a path.
    assert [row.image for row in rows] == [Path(name).name if format == "saved_dataset" else name for name in IMAGES]
    pictures = [row.content if row.content is not None else (source.root / row.image).read_bytes() for row in rows]
    assert pictures == [picture(0), picture(1), picture(2)]
    if format != "coco":
        # A table of text has no numbers; only a conversation has a prompt.
        fields = [{name: value for name, value in row.fields.items() if name != "prompt"} for row in rows]
        assert fields == [{"width": str(8 + n) if format == "csv" else 8 + n} for n in range(3)]
    assert sorted(read(source)[0], key=lambda row: row.id) == rows, "a second reading gives other rows"


@pytest.mark.parametrize("kind", WRITERS)
def test_damage_is_a_rejection_or_one_line(tmp_path: Path, kind: str) -> None:
    random = Random(kind)
    told = 0
    for number in range(12):
        folder = Folder(tmp_path / str(number))
        path = WRITERS[kind][1](folder)
        files = sorted(file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
        damaged = random.choice(files)
        content = bytearray(damaged.read_bytes())
        place = random.randrange(len(content))
        if number % 2:
            content[place : place + 4] = random.randbytes(4)
        else:
            del content[place:]
        damaged.write_bytes(content)
        try:
            _, rejected = read(path, format=WRITERS[kind][0])
            told += bool(rejected)
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) < 800
            told += 1
    assert told, "nothing was damaged"


def test_the_formats_of_the_parameter_are_those_that_are_read() -> None:
    wanted = DataParams.model_json_schema()["properties"]["format"]["enum"]
    assert wanted == ["auto", *READERS]


WHERES = {
    "train.jsonl": ["train.jsonl:1", "train.jsonl:2", "train.jsonl:3"],
    "train.json": ["train.json:item 1", "train.json:item 2", "train.json:item 3"],
    "train.parquet": ["train.parquet:row 1", "train.parquet:row 2", "train.parquet:row 3"],
    # The second caption of the table stands in two lines.
    "train.csv": ["train.csv:2", "train.csv:3", "train.csv:4"],
}


@pytest.mark.parametrize("name", WHERES)
def test_ids_from_file_and_position(folder: Folder, name: str) -> None:
    bare = [{key: row[key] for key in ("caption", "image")} for row in ROWS]
    rows, _ = read(folder.table(name, bare))
    assert [row.id for row in rows] == [row.where for row in rows] == WHERES[name]


def test_samples_of_two_tars_may_have_one_key(folder: Folder) -> None:
    for shard in "ab":
        folder.tar(f"{shard}.tar", {"0.jpg": picture(ord(shard), "JPEG"), "0.txt": f"tar {shard}"})
    rows, _ = read(folder.path, format="webdataset")
    assert [(row.id, row.image, row.caption) for row in rows] == [
        ("a.tar:0", "a/0.jpg", "tar a"),
        ("b.tar:0", "b/0.jpg", "tar b"),
    ]


def test_one_name_for_two_pictures_is_no_name(folder: Folder) -> None:
    images = [{"bytes": picture(number), "path": "image.png"} for number in (1, 2, 1)]
    rows = [{"text": "words", "image": image} for image in images]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder.path / "t.parquet")
    taken, _ = read(folder.path / "t.parquet")
    assert [row.image for row in taken] == ["image.png", "t/2.png", "image.png"]


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_a_picture_in_base64(folder: Folder, prefix: str) -> None:
    value = prefix + base64.b64encode(picture(7)).decode()
    rows, rejected = read(folder.lines("train.jsonl", [{"text": "words", "image": value}]))
    assert rejected == []
    assert [(row.image, row.content) for row in rows] == [("train/1.png", picture(7))]


@pytest.mark.parametrize(
    ("row", "image"),
    [
        ({"images": None, "image": "c.png", "text": "", "caption": "words"}, "c.png"),
        ({"image": ["c.png"], "text": ["words"]}, "c.png"),
        ({"Image_Path": "c.png", "TEXT": "words"}, "c.png"),
        ({"image": "", "url": "c.png", "text": "words"}, "c.png"),
        ({"image": "a.png", "text": "words"}, "images/a.png"),
        ({"image": "./images//a.png", "text": " words\n"}, "images/a.png"),
        ({"image": "none.png", "text": "words"}, "none.png"),
    ],
)
def test_the_key_that_has_a_value_counts(folder: Folder, row: dict, image: str) -> None:
    [taken], rejected = read(folder.lines("train.jsonl", [row]))
    assert rejected == [] and (taken.image, taken.caption) == (image, "words")
    assert taken.fields == {}


def test_a_url_is_left_to_who_resolves_paths(folder: Folder) -> None:
    rows = [{"image": "https://a.org/b.png", "text": "words"}, {"image": "c.png", "text": "words"}]
    taken, rejected = read(folder.lines("train.jsonl", rows))
    assert rejected == [] and [row.image for row in taken] == ["https://a.org/b.png", "c.png"]


def test_suffixes_in_capitals(folder: Folder) -> None:
    folder.binary("train/A.JPG", picture(1, "JPEG"))
    folder.text("train/A.TXT", "words")
    [row], rejected = read(folder.path / "train")
    assert rejected == [] and (row.image, row.caption) == ("A.JPG", "words")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder.path / "more.parquet")
    (folder.path / "pairs").mkdir()
    (folder.path / "more.parquet").rename(folder.path / "pairs/0.PARQUET")
    assert len(read(open_source(folder.path / "pairs", root=folder.path))[0]) == len(ROWS)


def test_text_that_a_table_holds_as_bytes(folder: Folder) -> None:
    rows = [
        {"id": b"k1", "text": "gr\u00fcn".encode(), "image": b"c.png"},
        {"id": b"k2", "text": b"\xff", "image": b"c.png"},
        {"id": b"k3", "text": b"words", "image": picture(3)},
        {"id": b"k4", "text": b"words", "image": b"no picture"},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder.path / "t.parquet")
    taken, [rejected] = read(folder.path / "t.parquet")
    assert [(row.id, row.caption, row.image, row.content) for row in taken] == [
        ("k1", "gr\u00fcn", "c.png", None),
        ("k3", "words", "t/3.png", picture(3)),
        ("k4", "words", "t/4", b"no picture"),  # who decodes it tells
    ]
    assert (rejected.id, rejected.reason) == ("k2", "broken_text")


@pytest.mark.parametrize(("speakers", "asked"), [(("User", "model"), "what?"), (("human", "bot"), "")])
def test_a_conversation_is_a_pair_whoever_speaks(folder: Folder, speakers: tuple[str, str], asked: str) -> None:
    """As the finetune set's reader understands it; what was asked trains nothing and may be empty."""
    said = [{"from": speaker, "value": value} for speaker, value in zip(speakers, (asked, "words"), strict=True)]
    [row], rejected = read(folder.json("t.json", [{"image": "c.png", "conversations": [], "messages": said}]))
    assert rejected == [] and (row.caption, row.fields["prompt"]) == ("words", asked)


def test_columns_by_parameter(folder: Folder) -> None:
    path = folder.csv("t.csv", [["n", "text", "said", "pic"], ["7", "no", "yes", "c.png"]])
    source = open_source(path, columns={"id": "n", "caption": "said", "image": "pic"})
    assert list(source) == [Sample("t.csv:2", "7", "c.png", "yes", {"text": "no"})]
    assert str(source) == "t.csv read as csv: id from n, caption from said, image from pic"


def test_what_json_cannot_hold_is_left_out_and_told_once(folder: Folder, caplog) -> None:
    row = {"text": "words", "image": "c.png", "day": datetime.date(2020, 2, 3), "raw": b"\xff", "score": float("nan")}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row, row]), folder.path / "t.parquet")
    rows, _ = read(folder.path / "t.parquet")
    assert [row.fields for row in rows] == [{"day": "2020-02-03", "score": None}] * 2
    assert [record.message for record in caplog.records] == [
        "warning: t.parquet: column 'raw' is left out where JSON cannot hold it: found bytes"
    ]


def test_an_image_token_in_a_caption_is_text(folder: Folder) -> None:
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]},
        {"role": "assistant", "content": "the <image> tag"},
    ]
    path = folder.json(
        "t.json", [{"image": "c.png", "messages": turns}, {"image": "c.png", "text": "<image> of a cat"}]
    )
    rows, rejected = read(path)
    assert rejected == []
    assert [row.caption for row in rows] == ["the <image> tag", "<image> of a cat"]
    assert rows[0].fields == {"prompt": "<image>\nwhat?"}


def test_splits_that_nobody_trains_on_are_not_read(folder: Folder, caplog) -> None:
    for split in ("train-0", "train-1", "validation-0", "test-0", "testimonials"):
        rows = [{"text": split, "image": "c.png"}]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder.path / f"{split}.parquet")
    rows, _ = read(open_source(folder.path))
    assert [row.caption for row in rows] == ["testimonials", "train-0", "train-1"]
    assert "test-0.parquet is no split for training; not read: 2 file(s)" in caplog.text


def test_a_folder_of_images_beside_benchmarks(folder: Folder) -> None:
    folder.text("c.txt", "words")
    folder.binary("benchmarks/gqa/images/q.png", picture(5))
    folder.binary(".cache/x.png", picture(5))
    rows, rejected = read(folder.path)
    assert [row.where for row in rows] == ["c.png"]
    assert [row.where for row in rejected] == ["images/a.png", "images/b.png"]


def test_paths_from_the_roots_own_root(folder: Folder) -> None:
    rows = [{"text": "words", "image": str(folder.path / "images/a.png")}, {"text": "words", "image": "/etc/passwd"}]
    taken, _ = read(folder.lines("train.jsonl", rows))
    assert [row.image for row in taken] == ["images/a.png", "/etc/passwd"]

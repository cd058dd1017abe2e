import json
import tarfile

import pytest
from PIL import Image

from recap.data.corpus.images import stored_image
from recap.data.corpus.index import INDEX, CorpusIndex
from recap.data.corpus.records import Record, read_corpus
from recap.data.sources.pictures import Terms
from recap.data.sources.user_corpus import take_corpus


def pair(row_id: str = "1", image: str = "images/a.jpg", caption: str = "a red square", **changes) -> dict:
    return {"id": row_id, "text": f"<__dj__image> {caption} <|__dj__eoc|>", "images": [image], **changes}


def take(user, rows, out):
    for folder in (out, out / "work"):
        folder.mkdir()
    part = take_corpus(user.lines("train.jsonl", rows), out, Terms(work=out / "work"))
    return part, read_corpus(out / INDEX)


def without(row: dict, key: str) -> dict:
    return {name: value for name, value in row.items() if name != key}


@pytest.mark.parametrize(
    "row",
    [
        pair(),
        {"id": "1", "caption": "a red square", "image": "images/a.jpg"},
        {"id": 1, "text": "a red square", "image": "./images//a.jpg", "extra": [1, 2]},
        {"id": "1", "text": None, "caption": "a red square", "images": ["images/a.jpg"]},
    ],
)
def test_accepted_spellings_of_a_pair(user, tmp_path, row) -> None:
    part, records = take(user, [row], tmp_path / "out")
    fields = {"extra": [1, 2]} if "extra" in row else {}
    assert records == [Record(id="1", image="images/a.jpg", caption="a red square", fields=fields)]
    assert (part.origin, part.rows, part.rejections) == ("user", 1, [])
    assert stored_image(CorpusIndex(tmp_path / "out"), "images/a.jpg") == (user.path / "images/a.jpg").read_bytes()


@pytest.mark.parametrize(
    ("row", "reason", "row_id"),
    [
        (b'{"id": "x", "text": "half', "broken_json", None),
        (b'{"id": "x", "text": "\xff"}', "broken_json", None),
        (b"[" * 100_000, "broken_json", None),
        ([1, 2], "not_an_object", None),
        ("text", "not_an_object", None),
        (pair(id=True), "missing_id", None),
        (pair(id=["x"]), "missing_id", None),
        (without(pair("x"), "text"), "missing_text", "x"),
        (pair("x", text=3), "missing_text", "x"),
        (pair("x", text="half \ud83d of a pair"), "broken_text", "x"),
        (pair("x", caption=""), "empty_caption", "x"),
        (pair("x", caption=" \t\n "), "empty_caption", "x"),
        (without(pair("x"), "images"), "no_image", "x"),
        (pair("x", images=[]), "no_image", "x"),
        (pair("x", images=[None]), "no_image", "x"),
        (pair("x", image=""), "no_image", "x"),
        (pair("x", images=["images/a.jpg", "images/b.png"]), "several_images", "x"),
        (pair("1"), "duplicate_id", "1"),
        (pair("x", "images/none.jpg"), "missing_image", "x"),
        (pair("x", "images"), "missing_image", "x"),
        (pair("x", "nul\0.jpg"), "missing_image", "x"),
        (pair("x", "images/broken.jpg"), "broken_image", "x"),
        (pair("x", "images/truncated.jpg"), "broken_image", "x"),
        (pair("x", "../secret.jpg"), "path_leaves_root", "x"),
        (pair("x", "/etc/passwd"), "path_leaves_root", "x"),
        (pair("x", "images/link.jpg"), "path_leaves_root", "x"),
        (pair("x", "elsewhere/secret.jpg"), "path_leaves_root", "x"),
    ],
)
def test_a_fault_costs_its_own_row(user, tmp_path, row, reason: str, row_id: str | None) -> None:
    images = user.path / "images"
    Image.effect_noise((64, 64), 50).save(tmp_path / "secret.jpg")
    (images / "truncated.jpg").write_bytes((tmp_path / "secret.jpg").read_bytes()[:900])
    (images / "broken.jpg").write_bytes(b"not an image")
    (images / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (user.path / "elsewhere").symlink_to(tmp_path)

    part, records = take(user, [pair("1"), row, pair("2", "images/b.png")], tmp_path / "out")

    assert [record.id for record in records] == ["1", "2"]
    [rejection] = part.rejections
    assert (rejection.where, rejection.id, rejection.reason) == ("train.jsonl:2", row_id, reason)
    assert rejection.detail
    assert "\n" not in rejection.detail
    json.dumps(rejection.to_row(), ensure_ascii=False).encode("utf-8")
    with tarfile.open(tmp_path / "out" / "shard-00000.tar") as shard:
        assert shard.getnames() == ["000000001.jpg", "000000001.json", "000000003.png", "000000003.json"]


@pytest.mark.parametrize("row", [without(pair(), "id"), pair(id=""), pair(id=None)])
def test_a_row_without_an_id_is_called_after_its_place(user, tmp_path, row) -> None:
    _, records = take(user, [pair("1"), row], tmp_path / "out")
    assert [record.id for record in records] == ["1", "train.jsonl:2"]


def test_a_rejected_row_does_not_use_up_its_id(user, tmp_path) -> None:
    part, records = take(user, [pair("1", "images/none.jpg"), pair("1")], tmp_path / "out")
    assert [record.id for record in records] == ["1"]
    assert [rejection.reason for rejection in part.rejections] == ["missing_image"]


def test_decompression_bombs_are_rejected(user, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses twice that
    part, _ = take(user, [pair("1")], tmp_path / "out")
    assert [rejection.reason for rejection in part.rejections] == ["image_too_large"]


def test_byte_order_mark_blank_lines_and_line_ends(user, tmp_path) -> None:
    rows = b"\xef\xbb\xbf" + json.dumps(pair("1")).encode() + b"\r\n\r\n  \n" + json.dumps(pair("2")).encode()
    (user.path / "train.jsonl").write_bytes(rows + b"\n{")
    for folder in (tmp_path / "out", tmp_path / "work"):
        folder.mkdir()
    part = take_corpus(user.path / "train.jsonl", tmp_path / "out", Terms(work=tmp_path / "work"))
    assert (part.rows, part.rejections[0].where) == (2, "train.jsonl:5")


def test_the_users_files_stay_as_they_are(user, tmp_path) -> None:
    source = user.path / "images" / "a.jpg"
    before = source.stat()
    take(user, [pair("1"), pair("2")], tmp_path / "out")  # two rows, one image
    (tmp_path / "out/shard-00000.tar").chmod(0o444)  # as DVC does with what it caches
    after = source.stat()
    assert (after.st_mode, after.st_nlink, after.st_mtime) == (before.st_mode, 1, before.st_mtime)

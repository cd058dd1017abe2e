"""Paths of images and members of archives stay below their root, and no archive unpacks into all memory."""

import gzip
import io
import json
import os
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from recap.data.benchmarks.registry import WITH_FILES
from recap.data.corpus.index import index_rows
from recap.data.formats.webdataset import MAX_FILE
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import take_benchmark
from recap.data.sources.rejections import Part
from recap.data.sources.user_conversations import take_conversations
from recap.data.sources.user_corpus import take_corpus
from tests.format_files import Folder, picture
from tests.fuzz.guard import confined
from tests.fuzz.inputs import tar_of


@pytest.fixture
def source(tmp_path: Path) -> Folder:
    """A user's folder; beside it a picture that is none of its own, and links to that."""
    (tmp_path / "secret.png").write_bytes(picture(99))
    folder = Folder(tmp_path / "input")
    (folder.path / "images/link.png").symlink_to(tmp_path / "secret.png")
    (folder.path / "images/loop.png").symlink_to("loop.png")
    (folder.path / "out").symlink_to(tmp_path)
    return folder


WAYS_OUT = [
    "../secret.png", "images/../../secret.png", "{outside}/secret.png", "file://{outside}/secret.png",
    "images/link.png", "images/loop.png", "out/secret.png", "..\\secret.png", "images\\..\\..\\secret.png",
    "%2e%2e/secret.png",
    "out/../../secret.png", "/proc/self/environ", "/dev/zero", "~/secret.png", "images/a.png/../../../secret.png",
    "images/\0a.png", "x" * 5_000 + ".png", "x/" * 2_000 + "a.png", "", ".", "..", "/", "images",
]  # fmt: skip


def taken(source: Folder, file: Path) -> tuple[Part, list[dict[str, Any]]]:
    """What becomes of a corpus, and the rows of its index."""
    output = source.path.parent / "output"
    with confined(output):
        part = take_corpus(file, output, Terms(source=source.path))
    return part, list(index_rows(output / "index.parquet", ["id", "image", "length"]))


@pytest.mark.parametrize("images", ["copy", "reference"])
def test_a_path_never_leaves_the_users_folder(source: Folder, images: Any) -> None:
    ways = [way.format(outside=source.path.parent) for way in WAYS_OUT]
    rows = [{"id": str(number), "caption": "words", "image": way} for number, way in enumerate(ways)]
    file = source.lines("train.jsonl", [*rows, {"id": "mine", "caption": "words", "image": "images/a.png"}])
    output = source.path.parent / "output"
    with confined(output):
        part = take_corpus(file, output, Terms(source=source.path, images=images))
    assert [row["id"] for row in index_rows(output / "index.parquet", ["id", "image", "length"])] == ["mine"]
    assert part.rows == 1 and len(part.rejections) == len(ways)
    assert picture(99) not in b"".join(path.read_bytes() for path in output.rglob("*") if path.is_file())


def test_nor_does_one_of_a_conversation_or_a_benchmark(source: Folder, textvqa_folder: Path) -> None:
    said = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "words"}]
    ways = [way.format(outside=source.path.parent) for way in WAYS_OUT if way]
    file = source.json("finetune.json", [{"image": way, "conversations": said} for way in ways])
    output = source.path.parent / "output"
    with confined(output):
        part = take_conversations(file, output, Terms(source=source.path))
    assert part.rows == 0 and len(part.rejections) == len(ways)

    questions = textvqa_folder / "TextVQA_0.5.1_val.json"
    (textvqa_folder / "train_images/link.png").symlink_to(source.path.parent / "secret.png")
    content = json.loads(questions.read_text())
    (one, *_) = content["data"]
    ids = [*ways, "link", "../train_images/link", "../../secret"]
    content["data"] = [one | {"image_id": way, "question_id": number} for number, way in enumerate(ids)]
    questions.write_text(json.dumps(content))
    before = [path for path in sorted(source.path.parent.rglob("*")) if output not in path.parents]
    with confined(output):
        part = take_benchmark(WITH_FILES["textvqa"], questions, output / "textvqa")
    assert part.rows == 0 and len(part.rejections) == len(ids)
    after = [path for path in sorted(source.path.parent.rglob("*")) if output not in path.parents]
    assert before == after


def test_members_of_a_tar_are_never_written_under_their_names(source: Folder) -> None:
    def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Any:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(content), kind, link
        return info, content

    names = ["../../a", "{outside}/b", "c/../../../c", "d"]
    names = [name.format(outside=source.path.parent) for name in names]
    members = [
        member(f"{name}{suffix}", content)
        for name in names
        for suffix, content in ((".png", picture(len(name))), (".txt", b"words"))
    ]
    members += [
        member("link.png", kind=tarfile.SYMTYPE, link="/etc/passwd"), member("link.txt", b"words"),
        member("hard.png", kind=tarfile.LNKTYPE, link="d.png"), member("hard.txt", b"words"),
        member("fifo.png", kind=tarfile.FIFOTYPE), member("device.png", kind=tarfile.CHRTYPE),
    ]  # fmt: skip
    (source.path / "train.tar").write_bytes(tar_of(members))
    before = sorted(path for path in source.path.parent.rglob("*") if "output" not in path.parts)
    part, rows = taken(source, source.path / "train.tar")
    after = sorted(path for path in source.path.parent.rglob("*") if not {"output", "scratch"} & set(path.parts))
    assert before == after
    assert part.rows + len(part.rejections) == len(names) + 2  # a link alone is no sample's picture
    assert not [row["image"] for row in rows if row["image"].startswith(("/", "..")) or "/../" in row["image"]]


def test_a_tar_that_unpacks_into_too_much_costs_a_row(source: Folder) -> None:
    """Half a gigabyte of zeros in a small file; and a header that promises what is not there."""
    large = tarfile.TarInfo("1.png")
    large.size = MAX_FILE + 96 * tarfile.BLOCKSIZE
    members = [(tarfile.TarInfo(name), content) for name, content in (("0.png", picture(5)), ("0.txt", b"words"))]
    for info, content in members:
        info.size = len(content)
    begins = tar_of(members)[: -2 * tarfile.BLOCKSIZE] + large.tobuf(tarfile.GNU_FORMAT)
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as stream:
        stream.write(begins)
        for _ in range(96):
            stream.write(b"\0" * (large.size // 96))
        stream.write(b"\0" * 2 * tarfile.BLOCKSIZE)
    for name, content in (("train.tar.gz", bomb.getvalue()), ("train.tar", begins + b"\0" * 4096)):
        folder = source.path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(content)
        (folder / "sound.tar").write_bytes(tar_of(members))
        with confined(source.path.parent / "output"):
            part = take_corpus(folder, source.path.parent / "output" / folder.name)
        assert part.rows == 2 and len(part.rejections) == 1


def test_a_picture_that_unpacks_into_gigabytes_costs_its_row(source: Folder) -> None:
    """A PNG of 60,000 x 60,000 in a few kilobytes, and a file of a terabyte that is a hole."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    source.binary(
        "images/bomb.png",
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
        + chunk(b"IEND", b""),
    )
    with (source.path / "images/hole.png").open("wb") as stream:
        os.truncate(stream.fileno(), 1 << 40)
    rows = [{"id": name, "caption": "words", "image": f"images/{name}.png"} for name in ("bomb", "hole", "a")]
    part, kept = taken(source, source.lines("train.jsonl", rows))
    assert [row["id"] for row in kept] == ["a"]
    assert [fault.reason for fault in part.rejections] == ["image_too_large"] * 2

"""Corpora in shards: what is in them, that a kill changes nothing, that equal pictures are stored once."""

import io
import json
import multiprocessing
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import webdataset
from PIL import Image
from pyarrow import parquet

from recap.data.corpus.images import BadImage, open_image, stored_image
from recap.data.corpus.index import INDEX, CorpusIndex, index_rows
from recap.data.formats.samples import Sample
from recap.data.sources import examination
from recap.data.sources.packing import pack
from recap.data.sources.rejections import Part
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from tests.packings import files, interrupted

SHARD_BYTES = 40_000

# A process that packs, a moment a row.
PACK = """
import logging, sys, time
from pathlib import Path
from recap.data.sources.packing import Packing, pack
from recap.data.formats.source import open_source

logging.basicConfig(level=logging.INFO)
source, folder, moment = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
add = Packing.add
Packing.add = lambda *args: (time.sleep(moment), add(*args))
pack(open_source(source / "train.jsonl"), source, folder, work=folder / "work", shard_bytes=40_000, workers=1)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Sixty pictures; every tenth is a copy of the first, number 7 is truncated, and there is no number 13."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    rng = numpy.random.default_rng(0)
    for number in range(60):
        pixels = rng.integers(0, 256, (24 + number % 5, 32, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).save(folder / image(number), quality=90)
        if number % 10 == 0:
            (folder / image(number)).write_bytes((folder / image(0)).read_bytes())
    (folder / image(7)).write_bytes((folder / image(7)).read_bytes()[:500])
    (folder / image(13)).unlink()
    return folder


def image(number: int) -> str:
    return f"images/{number:02d}.jpg"


def rows(*, count: int = 60) -> Iterator[Sample | Fault]:
    """A row per picture, then a second one for each; a rejected one in between, and an id that comes twice."""
    given: list[Sample | Fault] = [
        Sample(f"train.jsonl:{number}", f"id-{number}", image(number % 60), f"caption {number}", {"score": number})
        for number in range(count)
    ]
    given[20:20] = [Fault("train.jsonl:20b", None, "broken_json", "expected JSON")]
    given[30:30] = [Sample("train.jsonl:30b", "id-3", image(30), "the id of another", {})]
    return iter(given)


def packed(folder: Path, source: Path, given: Iterator[Sample | Fault], **settings: Any) -> Part:
    for made in (folder, folder / "work"):
        made.mkdir(exist_ok=True, parents=True)
    return pack(given, source, folder, work=folder / "work", **({"shard_bytes": SHARD_BYTES, "workers": 1} | settings))


def test_every_row_is_in_the_index_or_has_a_reason(source: Path, tmp_path: Path) -> None:
    part = packed(tmp_path / "out", source, rows(count=120))
    found = list(index_rows(tmp_path / "out" / INDEX))
    assert part.rows == len(found) == 116
    assert [(rejection.where, rejection.reason) for rejection in part.rejections] == [
        ("train.jsonl:7", "broken_image"),
        ("train.jsonl:13", "missing_image"),
        ("train.jsonl:20b", "broken_json"),
        ("train.jsonl:30b", "duplicate_id"),
        ("train.jsonl:67", "broken_image"),
        ("train.jsonl:73", "missing_image"),
    ]
    assert [row["id"] for row in found] == [f"id-{n}" for n in range(120) if n % 60 not in (7, 13)]
    for row in found:
        number = int(row["id"][3:])
        assert (row["caption"], row["fields"]) == (f"caption {number}", {"score": number})
        picture = Image.open(source / row["image"])
        assert (row["width"], row["height"]) == picture.size
        assert (row["format"], row["mode"], row["orientation"]) == ("JPEG", "RGB", 1)
        grey = numpy.asarray(picture.convert("L"), dtype=float)
        assert row["brightness"] == pytest.approx(grey.mean(), abs=1.5)


def test_pictures_are_found_by_name_with_the_bytes_that_they_had(source: Path, tmp_path: Path) -> None:
    packed(tmp_path / "out", source, rows())
    index = CorpusIndex(tmp_path / "out")
    for number in set(range(60)) - {7, 13}:
        assert stored_image(index, image(number)) == (source / image(number)).read_bytes()
        expected = numpy.asarray(open_image(source, image(number)))
        assert (numpy.asarray(open_image(tmp_path / "out", image(number))) == expected).all()
    for name in (image(7), image(13), "images/none.jpg", "../source/images/01.jpg"):
        with pytest.raises(BadImage, match="missing_image"):
            open_image(tmp_path / "out", name)


def test_a_turned_picture_is_recorded_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (30, 40)).save(tmp_path / name, exif=exif)
    given = iter([Sample(f"train.jsonl:{name}", name, name, "turned", {}) for name in ("a.jpg", "b.png")])
    packed(tmp_path / "out", tmp_path, given)
    found = [(row["width"], row["height"], row["orientation"]) for row in index_rows(tmp_path / "out" / INDEX)]
    assert found == [(40, 30, 6)] * 2


def test_webdataset_reads_a_shard_as_it_reads_any(source: Path, tmp_path: Path) -> None:
    packed(tmp_path / "out", source, rows())
    shards = sorted(str(file) for file in (tmp_path / "out").glob("*.tar"))
    assert len(shards) > 2
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [sample["json"]["id"] for sample in samples] == [row["id"] for row in index_rows(tmp_path / "out" / INDEX)]
    with_picture = [sample for sample in samples if "jpg" in sample]
    assert len(with_picture) == 58 - 5
    for sample in with_picture:
        expected = numpy.asarray(Image.open(source / sample["json"]["image"]))
        assert (numpy.asarray(sample["jpg"]) == expected).all()


def test_equal_pictures_are_stored_once(source: Path, tmp_path: Path) -> None:
    packed(tmp_path / "out", source, rows())
    places = {row["image"]: (row["shard"], row["offset"]) for row in index_rows(tmp_path / "out" / INDEX)}
    assert len({places[image(number)] for number in range(0, 60, 10)}) == 1
    assert len(set(places.values())) == 58 - 5


@pytest.mark.parametrize("stop_after", [1, 25, 40, 61])
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(source: Path, tmp_path: Path, stop_after: int) -> None:
    packed(tmp_path / "whole", source, rows())
    with interrupted(stop_after):
        packed(tmp_path / "stopped", source, rows())
    finished = len(list((tmp_path / "stopped" / "work").glob("*.json")))
    part = packed(tmp_path / "stopped", source, rows())
    assert finished == {1: 0, 25: 1, 40: 2, 61: 4}[stop_after] and part.rows == 58
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


# A process that packs, and says how much its own memory grew.
PACK_AND_WEIGH = """
import sys
from pathlib import Path
from recap.data.formats.source import open_source
from recap.data.sources.packing import pack

def own_memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) // 1024

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
(folder / "work").mkdir(parents=True)
rows = list(open_source(source / "train.jsonl"))
pack(rows[:20], source, folder, work=folder / "work", workers=1)
(folder / "more" / "work").mkdir(parents=True)
before = own_memory()
part = pack(rows, source, folder / "more", work=folder / "more" / "work", workers=1)
print(len(part.rejections), own_memory() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_broken_pictures_leave_nothing_in_memory(root: Path, tmp_path: Path) -> None:
    """A picture that breaks off half way is decoded so far; four hundred of them, kept, would be half a gigabyte."""
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    pixels = numpy.random.default_rng(0).integers(0, 256, (600, 700, 3), dtype=numpy.uint8)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "JPEG", quality=60)
    lines = []
    for number in range(400):
        (source / image(number)).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2 + number])
        lines.append(json.dumps({"id": str(number), "caption": "half of it", "image": image(number)}))
    (source / "train.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-c", PACK_AND_WEIGH, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    rejected, grown_mib = map(int, done.stdout.split())
    assert rejected == 400
    assert grown_mib < 30


@pytest.mark.slow
def test_kill_9_costs_the_shard_in_hand_and_leaves_no_litter(root: Path, source: Path, tmp_path: Path) -> None:
    lines = [{"id": row.id, "text": row.caption, "image": row.image} for row in rows() if isinstance(row, Sample)]
    (source / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("killed", "whole"):
        for made in (tmp_path / name, tmp_path / name / "work"):
            made.mkdir()
    command = [sys.executable, "-c", PACK, str(source)]
    process = subprocess.Popen([*command, str(tmp_path / "killed"), "0.02"], cwd=root)
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed" / "work" / "shard-00001.json").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert files(tmp_path / "killed") == {}
    again = subprocess.run(
        [*command, str(tmp_path / "killed"), "0"], cwd=root, capture_output=True, text=True, check=True
    )
    assert "going on after" in again.stderr
    subprocess.run([*command, str(tmp_path / "whole"), "0"], cwd=root, check=True)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_picture_that_changed_meanwhile_is_read_again(source: Path, tmp_path: Path) -> None:
    with interrupted(61):
        packed(tmp_path / "stopped", source, rows())
    Image.new("RGB", (9, 9)).save(source / image(25))
    packed(tmp_path / "stopped", source, rows())
    packed(tmp_path / "whole", source, rows())
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_shards_behind_a_changed_one_are_not_taken_up_later(source: Path, tmp_path: Path) -> None:
    """They may say that a picture lies where the changed shard had it."""
    given = [Sample(str(n), str(n), image(n), "caption", {}) for n in (*range(1, 7), *range(8, 13), *range(14, 60))]
    again = [Sample(f"again {n}", f"again {n}", image(n), "once more", {}) for n in range(1, 7)]
    with interrupted(len(given + again) - 1):
        packed(tmp_path / "stopped", source, iter(given + again))
    Image.new("RGB", (90, 90)).save(source / image(1))
    with interrupted(30):
        packed(tmp_path / "stopped", source, iter(given + again))
    packed(tmp_path / "stopped", source, iter(given + again))
    packed(tmp_path / "whole", source, iter(given + again))
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_a_corpus_that_grows_at_its_end_rewrites_its_last_shard_alone(source: Path, tmp_path: Path) -> None:
    packed(tmp_path / "short", source, rows(count=50))
    packed(tmp_path / "long", source, rows(count=60))
    short, long = (files(tmp_path / name) for name in ("short", "long"))
    shards = sorted(name for name in short if name.endswith(".tar"))
    assert len(shards) > 2 and all(short[name] == long[name] for name in shards[:-1])


def test_how_many_processes_decode_changes_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(tmp_path / "alone", source, rows(count=120))
    monkeypatch.setattr(examination, "WORTH_PROCESSES", 16)
    packed(tmp_path / "several", source, rows(count=120), workers=2)
    assert files(tmp_path / "several") == files(tmp_path / "alone")


def test_a_killed_worker_is_one_line_and_the_next_start_goes_on(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel does where memory runs out."""
    packed(tmp_path / "alone", source, rows(count=120))
    monkeypatch.setattr(examination, "WORTH_PROCESSES", 16)

    def given() -> Iterator[Sample | Fault]:
        whole = list(rows(count=120))
        yield from whole[:110]
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        yield from whole[110:]

    with pytest.raises(UserError, match="expected 2 processes to decode pictures, found one killed"):
        packed(tmp_path / "out", source, given(), workers=2)
    assert not (tmp_path / "out" / INDEX).exists()
    packed(tmp_path / "out", source, rows(count=120), workers=2)
    assert files(tmp_path / "out") == files(tmp_path / "alone")


def test_a_picture_inside_its_row(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (5, 4), 30).save(stream, "PNG")
    sample = Sample("part.parquet:row 1", "1", "part/1.png", "grey", {}, stream.getvalue())
    packed(tmp_path / "out", tmp_path, iter([sample]))
    assert open_image(tmp_path / "out", "part/1.png").size == (5, 4)
    [row] = index_rows(tmp_path / "out" / INDEX)
    assert (row["format"], row["mode"], row["brightness"]) == ("PNG", "L", 30)


def test_nothing_at_all_is_an_index_without_rows(tmp_path: Path) -> None:
    assert packed(tmp_path / "out", tmp_path, iter([])).rows == 0
    assert list(index_rows(tmp_path / "out" / INDEX)) == []


class TestReferences:
    def test_pictures_stay_where_they_are(self, source: Path, tmp_path: Path) -> None:
        packed(tmp_path / "copied", source, rows())
        packed(tmp_path / "out", source, rows(), images="reference")
        assert sorted(files(tmp_path / "out")) == [INDEX]
        found, copied = (parquet.read_table(tmp_path / name / INDEX).to_pylist() for name in ("out", "copied"))
        for one, other in zip(found, copied, strict=True):
            assert one["shard"] == str(source / image(0 if int(one["id"][3:]) % 10 == 0 else int(one["id"][3:])))
            own = {"shard", "offset"}
            assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}
        assert (numpy.asarray(open_image(tmp_path / "out", image(5)))).shape[2] == 3

    def test_a_file_that_has_changed_or_gone_is_noticed(self, source: Path, tmp_path: Path) -> None:
        packed(tmp_path / "out", source, rows(), images="reference")
        Image.new("RGB", (9, 9)).save(source / image(1))
        (source / image(2)).unlink()
        with pytest.raises(BadImage, match=r"changed_image.*01\.jpg is not what it was when prepare read it"):
            open_image(tmp_path / "out", image(1))
        with pytest.raises(BadImage, match=r"missing_image.*02\.jpg"):
            open_image(tmp_path / "out", image(2))


def test_a_tar_tells_nothing_of_its_run(source: Path, tmp_path: Path) -> None:
    packed(tmp_path / "out", source, rows())
    with tarfile.open(tmp_path / "out" / "shard-00000.tar") as shard:
        members = shard.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
        told = json.loads(shard.extractfile("000000001.json").read())
    assert told == {"id": "id-0", "image": image(0), "caption": "caption 0", "fields": {"score": 0}}

"""Pictures of a benchmark that stand in the corpus too: the list of them, and the operator that takes them out."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pandas
import pytest
from PIL import Image

from recap.data.benchmarks.pictures import open_question_image
from recap.data.benchmarks.registry import BENCHMARKS, WITH_FILES
from recap.data.corpus.records import Record
from recap.data.explore.leaks import (
    COLUMNS,
    benchmark_pictures,
    find_candidates,
    find_leaks,
    is_same,
    miniature,
    no_leaks,
)
from recap.data.explore.table import distinct_pictures, read_index
from recap.data.processing.recipe import read_recipe
from recap.data.processing.runner import run_recipe
from recap.data.sources.preparation import take_benchmark
from recap.io import write_jsonl, write_text
from recap.runtime.errors import UserError


@pytest.fixture
def asked(make_table: Callable[..., pandas.DataFrame]) -> pandas.DataFrame:
    return make_table(["", "", ""], digest=["same", "b", "c"]).assign(
        benchmark=["gqa", "gqa", "vqav2"], benchmark_image=["g0.jpg", "g1.jpg", "v2.jpg"]
    )[["benchmark", "benchmark_image", "digest", "phash", "width", "height", "brightness"]]


def test_the_same_file_and_the_same_look(make_table: Callable[..., pandas.DataFrame], asked: pandas.DataFrame) -> None:
    other = make_table([""] * 9)["phash"]
    table = make_table(
        ["", "", "", ""],
        digest=["x", "same", "y", "z"],
        phash=[asked["phash"][2], other[7], other[8], asked["phash"][1]],
    )
    leaks = find_candidates(distinct_pictures(table), asked)
    assert leaks.to_dict("records") == [
        {"image": "0000.jpg", "benchmark": "vqav2", "benchmark_image": "v2.jpg", "match": "looks the same"},
        {"image": "0001.jpg", "benchmark": "gqa", "benchmark_image": "g0.jpg", "match": "same file"},
        {"image": "0003.jpg", "benchmark": "gqa", "benchmark_image": "g1.jpg", "match": "looks the same"},
    ]


def test_nothing_leaks_where_nothing_is_asked(make_table: Callable[..., pandas.DataFrame], tmp_path: Path) -> None:
    leaks = find_leaks(make_table(["a"]), benchmark_pictures(tmp_path), tmp_path, tmp_path)
    assert leaks.empty and list(leaks.columns) == list(no_leaks().columns) == list(COLUMNS)


@pytest.mark.slow
def test_a_photograph_of_a_benchmark_is_found_in_the_corpus(
    shared: Path,
    tmp_path: Path,
    folders: dict[str, Path],
    pack_corpus: Callable[[Sequence[Record], Path, Path], Path],
) -> None:
    photos = sorted(shared.glob("photos/**/*.jpg"))[:4]
    (folders["gqa"] / "images" / "n1.jpg").write_bytes(photos[0].read_bytes())
    (folders["textvqa"] / "train_images" / "aa01.jpg").write_bytes(photos[1].read_bytes())
    smaller = Image.open(photos[0]).convert("RGB")
    smaller = smaller.resize((smaller.width // 2, smaller.height // 2))
    records = []
    for number, content in enumerate([_jpeg(smaller), *(photo.read_bytes() for photo in photos[1:])]):
        (tmp_path / f"{number}.jpg").write_bytes(content)
        records.append(Record(f"row{number}", f"{number}.jpg", "a caption"))
    corpus, asked = pack_corpus(records, tmp_path, tmp_path / "corpus"), prepared(folders, tmp_path / "prepared")
    table = read_index(corpus / "index.parquet")
    leaks = find_leaks(distinct_pictures(table), benchmark_pictures(asked), corpus, asked)
    assert list(leaks["image"]) == ["0.jpg", "1.jpg"]
    assert list(leaks["match"]) == ["looks the same", "same file"]
    assert list(leaks["benchmark"]) == ["gqa", "textvqa"]

    write_jsonl(tmp_path / "leaked.jsonl", leaks.to_dict("records"))
    write_text(
        tmp_path / "r.yaml", f"process:\n  - leaked_image_filter: {{leaked_path: {tmp_path / 'leaked.jsonl'}}}\n"
    )
    write_jsonl(tmp_path / "captions.jsonl", [])
    recipe = read_recipe(tmp_path / "r.yaml")
    processed = run_recipe(recipe, records, image_root=corpus, captions=tmp_path / "captions.jsonl", workers=2)
    assert [row["id"] for row in processed.rows] == ["row2", "row3"]


def test_a_missing_list_is_one_line(tmp_path: Path) -> None:
    write_text(tmp_path / "r.yaml", f"process:\n  - leaked_image_filter: {{leaked_path: {tmp_path / 'none.jsonl'}}}\n")
    write_jsonl(tmp_path / "captions.jsonl", [])
    with pytest.raises(UserError, match=r"none\.jsonl"):
        run_recipe(
            read_recipe(tmp_path / "r.yaml"), [Record("a", "a.jpg", "a")], image_root=tmp_path,
            captions=tmp_path / "captions.jsonl",
        )  # fmt: skip


def _jpeg(image: Image.Image) -> bytes:
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=60)
    return encoded.getvalue()


def prepared(folders: dict[str, Path], target: Path) -> Path:
    """The benchmarks as `prepare` takes them."""
    for name, folder in folders.items():
        take_benchmark(BENCHMARKS[name], folder / BENCHMARKS[name].questions_files[0], target / name)
    return target


def test_every_benchmark_is_looked_at_and_no_picture_opened(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared(folders, tmp_path / "prepared")
    monkeypatch.setattr(Image, "open", None)
    pictures = benchmark_pictures(folder)
    assert set(pictures["benchmark"]) == set(folders) == set(WITH_FILES)
    assert pictures["phash"].str.fullmatch("[0-9a-f]{16}").all()
    asked = {(name, question.image_id) for name in WITH_FILES for question in BENCHMARKS[name].load(folder / name)}
    assert set(zip(pictures["benchmark"], pictures["benchmark_image"], strict=True)) == asked
    assert len(pictures) == len(asked)


def test_a_picture_that_is_gone_is_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    """As a user's file that was only referred to may be: left out, a leak would be lost in silence."""
    folder = prepared(folders, tmp_path / "prepared")
    asked = benchmark_pictures(folder)
    pictures = asked.drop(columns="benchmark").rename(columns={"benchmark_image": "image"}).assign(digest="another")
    pictures = pictures.drop_duplicates("image")
    with pytest.raises(UserError, match=r"missing_image: .*; run prepare again"):
        find_leaks(pictures, asked, tmp_path, folder)
    for shard in folder.rglob("*.tar"):
        shard.unlink()
    with pytest.raises(UserError, match=r"missing_image: .*\.tar: No such file or directory; run prepare again"):
        find_leaks(pictures, asked, folder / "gqa", folder)


def test_pictures_that_nothing_describes_are_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index\.parquet: expected an index with .*; rerun prepare"):
        benchmark_pictures(tmp_path)


def test_a_picture_inside_a_table_is_compared_too(
    folders: dict[str, Path], tmp_path: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]
) -> None:
    """MMBench's: what only looks like one of them is opened from the TSV."""
    folder = prepared(folders, tmp_path / "prepared")
    question = BENCHMARKS["mmbench"].load(folder / "mmbench")[-1]
    open_question_image(question, folder).save(tmp_path / "0.bmp")
    corpus = pack_corpus([Record("row0", "0.bmp", "a caption")], tmp_path, tmp_path / "corpus")
    table = read_index(corpus / "index.parquet")
    leaks = find_leaks(table, benchmark_pictures(folder), corpus, folder)
    found = leaks[leaks["benchmark"] == "mmbench"].to_dict("records")
    assert found == [{"image": "0.bmp", "benchmark": "mmbench", "benchmark_image": "2", "match": "looks the same"}]


def test_drawings_that_a_hash_confuses_are_told_apart() -> None:
    street = Image.new("RGB", (320, 240), "grey")
    other = street.copy()
    other.paste("yellow", (200, 120, 280, 220))
    assert not is_same(miniature(street), miniature(other))
    assert is_same(miniature(other), miniature(other.resize((160, 120))))

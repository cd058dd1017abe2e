"""Sizes, formats, duplicates and broken files of a small folder of pictures."""

from pathlib import Path

import pandas
import pytest
from PIL import Image

from recap.data.explore.pictures import UNREADABLE, read_pictures
from recap.data.explore.sizes import describe_images, shares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (100, 300), "red").save(tmp_path / "small.jpg")
    Image.new("L", (300, 400), 7).save(tmp_path / "medium.png")
    Image.new("RGB", (600, 400), "blue").save(tmp_path / "large.jpg")
    (tmp_path / "copy.jpg").write_bytes((tmp_path / "large.jpg").read_bytes())
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "large.jpg").read_bytes()[:900])
    return tmp_path


def test_describe(folder: Path) -> None:
    names = ["small.jpg", "medium.png", "large.jpg", "copy.jpg", "broken.jpg", "absent.jpg"]
    pictures = read_pictures(folder, names).set_index("image")
    assert [reason.split(":")[0] for reason in pictures["broken"]] == ["", "", "", "", "broken_image", "missing_image"]
    readable = pictures[pictures["broken"] == ""]
    summary = describe_images(readable, 2)
    assert (summary["images"], summary["broken_images"]) == (4, 2)
    assert summary["width_mean_px"] == (100 + 300 + 600 + 600) / 4
    assert [summary[f"{name}_percent"] for name in ("small", "medium", "large")] == [25, 25, 50]
    assert summary["formats"] == {"JPEG": 75, "PNG": 25}
    assert summary["modes"] == {"RGB": 75, "L": 25}
    assert pictures.loc["large.jpg", "digest"] == pictures.loc["copy.jpg", "digest"]
    assert pictures.loc["medium.png", "brightness"] == 7


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_rotated_size_is_the_shown_one(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn
    Image.new("RGB", (300, 400)).save(tmp_path / f"turned.{suffix}", exif=exif)
    (row,) = read_pictures(tmp_path, [f"turned.{suffix}"]).to_dict("records")
    assert (row["width"], row["height"]) == (400, 300)


def test_no_images() -> None:
    assert describe_images(pandas.DataFrame(columns=list(UNREADABLE)), 0)["width_mean_px"] is None


def test_shares_are_sorted() -> None:
    assert list(shares(["b", "a", "c", "c"]).items()) == [("c", 50), ("a", 25), ("b", 25)]

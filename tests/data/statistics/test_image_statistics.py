"""Sizes, formats, duplicates and broken files of a small folder of images."""

from pathlib import Path

import pytest
from PIL import Image

from recap.data.statistics.images import describe_images, read_images, shares


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (100, 300), "red").save(tmp_path / "small.jpg")
    Image.new("L", (300, 400), 7).save(tmp_path / "medium.png")
    Image.new("RGB", (600, 400), "blue").save(tmp_path / "large.jpg")
    (tmp_path / "copy.jpg").write_bytes((tmp_path / "large.jpg").read_bytes())
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "large.jpg").read_bytes()[:900])
    return tmp_path


def test_describe(folder: Path) -> None:
    paths = ["small.jpg", "medium.png", "large.jpg", "copy.jpg", "large.jpg", "broken.jpg", "absent.jpg"]
    facts, broken = read_images(folder, paths)
    assert [error.reason for error in broken.values()] == ["broken_image", "missing_image"]
    summary = describe_images(paths, facts, len(broken))
    assert (summary["images"], summary["broken_images"], summary["duplicate_image_rows"]) == (4, 2, 2)
    assert summary["width_mean_px"] == (100 + 300 + 600 + 600) / 4
    assert [summary[f"{name}_percent"] for name in ("small", "medium", "large")] == [25, 25, 50]
    assert summary["formats"] == {"JPEG": 75, "PNG": 25}
    assert summary["modes"] == {"RGB": 75, "L": 25}


def test_rotated_size_is_the_shown_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn
    Image.new("RGB", (300, 400)).save(tmp_path / "turned.jpg", exif=exif)
    facts, _ = read_images(tmp_path, ["turned.jpg"])
    assert (facts["turned.jpg"].width, facts["turned.jpg"].height) == (400, 300)


def test_no_images() -> None:
    assert describe_images([], {}, 0)["width_mean_px"] is None


def test_shares_are_sorted() -> None:
    assert list(shares(["b", "a", "c", "c"]).items()) == [("c", 50), ("a", 25), ("b", 25)]

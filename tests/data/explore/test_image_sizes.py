"""Sizes and formats of a few pictures."""

from io import BytesIO

import pandas
import pytest
from PIL import Image

from recap.data.explore.pictures import shrunken
from recap.data.explore.sizes import describe_images, shares


def test_describe() -> None:
    sizes = {"small.jpg": (100, 300), "medium.png": (300, 400), "large.jpg": (600, 400), "larger.jpg": (600, 400)}
    pictures = pandas.DataFrame(list(sizes.values()), columns=["width", "height"]).assign(
        format=["JPEG", "PNG", "JPEG", "JPEG"], mode=["RGB", "L", "RGB", "RGB"]
    )
    summary = describe_images(pictures)
    assert summary["images"] == 4
    assert summary["width_mean_px"] == (100 + 300 + 600 + 600) / 4
    assert [summary[f"{name}_percent"] for name in ("small", "medium", "large")] == [25, 25, 50]
    assert summary["formats"] == {"JPEG": 75, "PNG": 25}
    assert summary["modes"] == {"RGB": 75, "L": 25}


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_rotated_size_is_the_shown_one(format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn
    encoded = BytesIO()
    Image.new("RGB", (300, 400)).save(encoded, format, exif=exif)
    picture, file = shrunken(encoded.getvalue(), "turned")
    assert (file["width"], file["height"]) == (400, 300) and picture.width > picture.height


def test_no_images() -> None:
    nothing = pandas.DataFrame(columns=["width", "height", "format", "mode"])
    assert describe_images(nothing)["width_mean_px"] is None


def test_shares_are_sorted() -> None:
    assert list(shares(["b", "a", "c", "c"]).items()) == [("c", 50), ("a", 25), ("b", 25)]

"""Sizes and formats of a few pictures."""

import pandas

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


def test_no_images() -> None:
    nothing = pandas.DataFrame(columns=["width", "height", "format", "mode"])
    assert describe_images(nothing)["width_mean_px"] is None


def test_shares_are_sorted() -> None:
    assert list(shares(["b", "a", "c", "c"]).items()) == [("c", 50), ("a", 25), ("b", 25)]

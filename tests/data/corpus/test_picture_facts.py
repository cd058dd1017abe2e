"""Brightness and perceptual hash of a picture: of its pixels, whatever its mode."""

from pathlib import Path

import imagehash
import pytest
from PIL import Image

from recap.data.corpus.facts import picture_facts


@pytest.mark.parametrize(("colour", "brightness"), [("black", 0), ("white", 255), ((100, 100, 100), 100)])
def test_brightness(colour: str, brightness: float) -> None:
    assert picture_facts(Image.new("RGB", (700, 300), colour))["brightness"] == brightness


def test_brightness_is_a_mean() -> None:
    image = Image.new("L", (640, 480), 0)
    image.paste(200, (0, 0, 160, 480))  # a quarter
    assert picture_facts(image)["brightness"] == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (31, 900), (640, 480)])
def test_every_mode_and_size(mode: str, size: tuple[int, int]) -> None:
    facts = picture_facts(Image.new(mode, size))
    assert 0 <= facts["brightness"] <= 255
    assert len(facts["phash"]) == 16 and int(facts["phash"], 16) >= 0


def test_hash_is_nearly_that_of_the_whole_picture(shared: Path) -> None:
    for file in sorted(shared.glob("photos/**/*.jpg")):
        image = Image.open(file).convert("RGB")
        assert imagehash.hex_to_hash(picture_facts(image)["phash"]) - imagehash.phash(image) <= 4

"""Every step of image preparation, bit for bit against its arithmetic written out without regard to speed."""

from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from recap.models.mgm.image_processing_mgm import MGMImageProcessor

OTHER_COLOURS = {"image_mean": (0.1, 0.2, 0.7), "image_std": (0.3, 1.0, 0.07)}


def padded(picture: Image.Image, mean: list[float]) -> Image.Image:
    width, height = picture.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), tuple(int(255 * channel) for channel in mean))
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def normalised(pixels: NDArray[np.uint8], mean: list[float], std: list[float]) -> NDArray[np.float32]:
    """[H, W, 3] -> [3, H, W]: divided by 255 in float64, everything else in float32."""
    scaled = (pixels.astype(np.float64) / 255).astype(np.float32)
    return ((scaled - np.array(mean, np.float32)) / np.array(std, np.float32)).transpose(2, 0, 1)


def interpolated(source: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """[3, S, S] -> [3, side, side]: the four neighbours of each position, summed by fused multiply-adds."""
    length = source.shape[-1]
    scale = np.float32(length) / np.float32(side)
    centres = [np.float32(max(np.float32((index + 0.5) * float(scale) - 0.5), 0)) for index in range(side)]
    first = np.array([min(int(centre), length - 1) for centre in centres])
    second = np.array([min(index + 1, length - 1) for index in first])
    far = np.array(centres, np.float32) - first.astype(np.float32)
    near = np.float32(1) - far

    def corner(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        return source[:, rows[:, None], columns[None, :]].astype(np.float64)

    def weight(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float64]:
        return (rows[:, None] * columns[None, :]).astype(np.float64)

    total = (corner(first, second) * weight(near, far)).astype(np.float32)
    total = (corner(first, first) * weight(near, near) + total).astype(np.float32)
    total = (corner(second, first) * weight(far, near) + total).astype(np.float32)
    return (corner(second, second) * weight(far, far) + total).astype(np.float32)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def assert_same_bits(found: torch.Tensor, expected: NDArray[np.float32]) -> None:
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert found.numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("colours", [{}, OTHER_COLOURS])
def test_every_value_of_every_channel(colours: dict[str, tuple[float, ...]]) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pixels = np.stack([values, values.T, values[::-1]], axis=-1)
    processor = MGMImageProcessor(image_size=16, image_size_aux=16, **colours)
    found = processor(Image.fromarray(pixels))["pixel_values_aux"][0]
    assert_same_bits(found, normalised(pixels, processor.image_mean, processor.image_std))


@pytest.mark.parametrize("colours", [{}, OTHER_COLOURS])
@pytest.mark.parametrize("sizes", [(336, 768), (32, 96), (7, 50), (50, 7), (1, 9), (9, 1)])
@pytest.mark.parametrize("picture", [(64, 48), (41, 97), (50, 50), (1, 30)])
def test_padded_pictures(
    picture: tuple[int, int], sizes: tuple[int, int], colours: dict[str, tuple[float, ...]]
) -> None:
    processor = MGMImageProcessor(*sizes, **colours)
    mean, std = processor.image_mean, processor.image_std
    resized = padded(noise(*picture), mean).resize((sizes[1], sizes[1]), Image.Resampling.BICUBIC)
    high = normalised(np.asarray(resized), mean, std)
    found = processor(noise(*picture))
    assert_same_bits(found["pixel_values_aux"][0], high)
    assert_same_bits(found["pixel_values"][0], interpolated(high, sizes[0]))


@pytest.mark.parametrize(
    ("picture", "resized", "box"),
    [
        ((64, 48), (53, 40), (6, 0, 46, 40)),
        ((41, 97), (40, 94), (0, 27, 40, 67)),
        ((50, 50), (40, 40), (0, 0, 40, 40)),
    ],
)
def test_the_middle_square(picture: tuple[int, int], resized: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    middle = noise(*picture).resize(resized, Image.Resampling.BICUBIC).crop(box)
    processor = MGMImageProcessor(image_size=18, image_size_aux=40)
    high = normalised(np.asarray(middle), processor.image_mean, processor.image_std)
    found = processor(noise(*picture), image_aspect_ratio="square")
    assert_same_bits(found["pixel_values_aux"][0], high)
    assert_same_bits(found["pixel_values"][0], interpolated(high, 18))


@pytest.mark.parametrize("sizes", [(336, 768), (14, 96), (5, 23)])
def test_views_of_a_grid(sizes: tuple[int, int]) -> None:
    side = sizes[0]
    processor = MGMImageProcessor(*sizes, image_grid=2, image_global=True)
    found = processor(noise(64, 48))
    double = interpolated(found["pixel_values_aux"][0].numpy(), 2 * side)
    tiles = [
        double[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
        for row, column in product(range(2), repeat=2)
    ]
    assert_same_bits(found["pixel_values"][0], np.stack([*tiles, interpolated(double, side)]))

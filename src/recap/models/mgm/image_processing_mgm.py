"""Images for MGM: one picture at two resolutions, bit for bit as the original prepares it.

In: PIL images. Out: `pixel_values` [I, 3, h, w] (with a grid [I, V, 3, h, w]) and `pixel_values_aux`
[I, 3, H, W], float32, normalised with CLIP's mean and standard deviation. Pillow and NumPy alone do the
resizing: torchvision's bicubic filter gives other bytes, and torch's bilinear one rounds differently with the
number of threads. Follows dvlab-research/MGM@769820c (mgm/mm_utils.py, mgm/train/train.py) and transformers' CLIP
processor, without their code.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from recap.models.mgm.configuration_mgm import MGMConfig

AspectRatio = Literal["pad", "square"]


class MGMImageProcessor(BaseImageProcessor):
    """Prepares images for an `MGMForConditionalGeneration`.

    Args:
        image_size: h, side in pixels of one low-resolution view.
        image_size_aux: H, side in pixels of the high-resolution image.
        image_grid: 2 cuts a low-resolution image of twice the side into 2x2 views.
        image_global: With a grid, also the whole image as the last view.
        image_mean: Per channel, on a scale of 0 to 1.
        image_std: Per channel, on a scale of 0 to 1.
    """

    model_input_names = ["pixel_values", "pixel_values_aux"]  # noqa: RUF012

    def __init__(
        self,
        image_size: int = 336,
        image_size_aux: int = 768,
        image_grid: int = 1,
        image_global: bool = False,
        image_mean: Sequence[float] = OPENAI_CLIP_MEAN,
        image_std: Sequence[float] = OPENAI_CLIP_STD,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = image_size
        self.image_size_aux = image_size_aux
        self.image_grid = image_grid
        self.image_global = image_global
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)

    def __call__(  # type: ignore[override]
        self, images: Image.Image | Sequence[Image.Image], *, image_aspect_ratio: AspectRatio = "pad", **kwargs: Any
    ) -> BatchFeature:
        """Prepare one image or several.

        Args:
            images: Of any mode and size; converted to RGB.
            image_aspect_ratio: "pad" puts the image on a square of the mean colour; "square" cuts the middle
                square out of it.
            kwargs: Ignored; transformers passes its own.

        Returns:
            `pixel_values` and `pixel_values_aux`, one row per image.

        Raises:
            ValueError: `image_aspect_ratio` is something else.
        """
        if image_aspect_ratio not in get_args(AspectRatio):
            raise ValueError(f"image_aspect_ratio should be 'pad' or 'square', found {image_aspect_ratio!r}")
        pictures = [images] if isinstance(images, Image.Image) else images
        high = [self._high_resolution(picture.convert("RGB"), image_aspect_ratio) for picture in pictures]
        low = [self._low_resolution(pixels) for pixels in high]
        return BatchFeature({"pixel_values": torch.stack(low), "pixel_values_aux": torch.stack(high)})

    preprocess = __call__

    def _high_resolution(self, picture: Image.Image, image_aspect_ratio: AspectRatio) -> torch.Tensor:
        if image_aspect_ratio == "pad":
            picture = self._pad_to_square(picture)
        pixels = _middle_square(_resize_shortest(picture, self.image_size_aux))
        channels = [table.take(pixels[:, :, channel]) for channel, table in enumerate(self._normalised_values())]
        return torch.from_numpy(np.stack(channels))

    def _normalised_values(self) -> NDArray[np.float32]:
        """[3, 256]: what each of a channel's 256 values becomes. Looking it up costs a fraction of computing it."""
        scaled = (np.arange(256) / 255).astype(np.float32)
        normalised = (scaled[:, None] - np.array(self.image_mean, np.float32)) / np.array(self.image_std, np.float32)
        return np.ascontiguousarray(normalised.T)

    def _pad_to_square(self, picture: Image.Image) -> Image.Image:
        width, height = picture.size
        if width == height:
            return picture
        side = max(width, height)
        background = tuple(int(255 * mean) for mean in self.image_mean)
        square = Image.new("RGB", (side, side), background)
        square.paste(picture, ((side - width) // 2, (side - height) // 2))
        return square

    def _low_resolution(self, high: torch.Tensor) -> torch.Tensor:
        """Views of a normalised image: [3, H, W] -> [3, h, w], or [V, 3, h, w] with a grid."""
        grid, side = self.image_grid, self.image_size
        low = _interpolate(high, side * grid)
        if grid == 1:
            return low
        views = low.reshape(3, grid, side, grid, side).permute(1, 3, 0, 2, 4).reshape(-1, 3, side, side)
        if self.image_global:
            views = torch.cat([views, _interpolate(low, side).unsqueeze(0)])
        return views


def _resize_shortest(picture: Image.Image, side: int) -> Image.Image:
    width, height = picture.size
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    return picture.resize(size, resample=Image.Resampling.BICUBIC)


def _middle_square(picture: Image.Image) -> NDArray[np.uint8]:
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _interpolate(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Bilinear, corners not aligned, no antialiasing: a square [3, S, S] -> [3, side, side].

    The arithmetic of `torch.nn.functional.interpolate` on one thread with fused multiply-add, step by step, so that
    the result depends on neither threads nor processor.
    """
    source = pixels.numpy()
    first, second, first_weight, second_weight = _neighbours(source.shape[-1], side)
    # take() keeps rows contiguous; indexing with an array would lay the columns out first, three times as slow.
    above, below = source.take(first, axis=1), source.take(second, axis=1)
    result = above.take(second, axis=2) * np.outer(first_weight, second_weight)
    for corner, weight in (
        (above.take(first, axis=2), np.outer(first_weight, first_weight)),
        (below.take(first, axis=2), np.outer(second_weight, first_weight)),
        (below.take(second, axis=2), np.outer(second_weight, second_weight)),
    ):
        result = _fused_multiply_add(corner, weight, result)
    return torch.from_numpy(result)


@lru_cache
def _neighbours(length: int, side: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any], NDArray[Any]]:
    """For each of `side` output positions along one axis: the two input positions around it, and their weights."""
    centres = np.arange(side, dtype=np.float32) + np.float32(0.5)
    scale = np.float32(length) / np.float32(side)
    position = np.maximum(_fused_multiply_add(centres, scale, np.float32(-0.5)), 0)
    first = np.minimum(position.astype(np.intp), length - 1)
    second = np.minimum(first + 1, length - 1)
    second_weight = np.clip(position - first.astype(np.float32), 0, 1)
    return first, second, np.float32(1) - second_weight, second_weight


def _fused_multiply_add(a: Any, b: Any, c: Any) -> NDArray[np.float32]:
    """a * b + c of float32 values, rounded once: the product of two of them is exact in float64."""
    return (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)


AutoImageProcessor.register(MGMConfig, slow_image_processor_class=MGMImageProcessor, exist_ok=True)

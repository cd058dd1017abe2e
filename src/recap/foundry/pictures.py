"""Pictures of foundry scenes as arrays, and what stands in every patch of them: the foundry's supervision.

The pictures go through the same JPEG compression and resizing as a run's own pictures do, so that a model
trained here meets nothing new there.
"""

import io
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from recap.world.lexicon import COLOURS, KINDS, SIDES, SIGN_WORDS
from recap.world.rendering import Box, group_boxes, other_box, save_jpeg, sign_box
from recap.world.scenes import GRID, Scene

# How a picture becomes square: BLIP-2 stretches it, MGM pads it with the mean colour.
Frame = Literal["stretch", "pad"]
PAD_COLOUR = (122, 116, 104)

WORDS, KIND_NAMES, COLOUR_NAMES = list(SIGN_WORDS), list(KINDS), list(COLOURS)
# Number of classes of each dense label; class 0 means "none here".
DENSE_CLASSES = {
    "region": 4,
    "letter": 27,
    "word": len(WORDS) + 1,
    "kind": len(KIND_NAMES) + 1,
    "colour": len(COLOUR_NAMES) + 1,
    "count": 5,
    "side": len(SIDES) + 1,
}
SIGN, MAIN, OTHER = 1, 2, 3
# A patch belongs to an object that covers at least this share of it.
COVERED = 0.3


def picture_arrays(scenes: Sequence[Scene], size: int, frame: Frame) -> NDArray[np.uint8]:
    """Render scenes into an array [N, size, size, 3], by way of JPEG and a bicubic resize."""
    pictures = np.empty((len(scenes), size, size, 3), dtype=np.uint8)
    for index, scene in enumerate(tqdm(scenes, desc="rendering", unit="picture")):
        buffer = io.BytesIO()
        save_jpeg(scene, buffer)
        picture = Image.open(buffer).convert("RGB")
        if frame == "pad":
            picture = _padded(picture)
        pictures[index] = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    return pictures


def _padded(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    square = Image.new("RGB", (side, side), PAD_COLOUR)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def dense_labels(scene: Scene, grid: int, frame: Frame) -> NDArray[np.int64]:
    """What each patch of a `grid` x `grid` division shows.

    Returns:
        Class indices [len(DENSE_CLASSES), grid, grid], in the order of `DENSE_CLASSES`.
    """
    labels = np.zeros((len(DENSE_CLASSES), grid, grid), dtype=np.int64)
    names = list(DENSE_CLASSES)

    def mark(where: NDArray[np.bool_], **classes: int) -> None:
        for name, value in classes.items():
            labels[names.index(name)][where] = value

    def covered(box: Box) -> NDArray[np.bool_]:
        return _coverage(box, scene, grid, frame) >= COVERED

    mark(
        covered(other_box(scene)),
        region=OTHER, kind=KIND_NAMES.index(scene.other_kind) + 1,
        colour=COLOUR_NAMES.index(scene.other_colour) + 1, count=1,
        side=SIDES.index(scene.other_side) + 1,
    )  # fmt: skip
    for box in group_boxes(scene):
        mark(
            covered(box),
            region=MAIN, kind=KIND_NAMES.index(scene.kind) + 1,
            colour=COLOUR_NAMES.index(scene.colour) + 1, count=scene.count,
            side=SIDES.index(scene.side) + 1,
        )  # fmt: skip
    mark(
        covered(sign_box(scene)),
        region=SIGN, word=WORDS.index(scene.word) + 1, colour=COLOUR_NAMES.index(scene.sign_colour) + 1,
    )  # fmt: skip
    for offset, letter in enumerate(scene.word):
        x, y = scene.sign_column + offset, scene.sign_row
        mark(_coverage((x, y, x + 1, y + 1), scene, grid, frame) >= 0.5, letter=ord(letter) - ord("a") + 1)
    return labels


def _coverage(box: Box, scene: Scene, grid: int, frame: Frame) -> NDArray[np.float64]:
    """The share of each patch that a box (in cells of the picture) covers: [grid, grid] in 0..1."""
    width, height = (scene.width, scene.height)
    side_x, side_y = (max(width, height),) * 2 if frame == "pad" else (width, height)
    edges = np.arange(grid + 1) / grid

    def overlap(low: float, high: float, size: int, side: int) -> NDArray[np.float64]:
        start, stop = ((side - size) / 2 + np.array([low, high]) * size / GRID) / side
        return np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None) * grid

    across = overlap(box[0], box[2], width, side_x)
    down = overlap(box[1], box[3], height, side_y)
    covered: NDArray[np.float64] = np.outer(down, across)
    return covered

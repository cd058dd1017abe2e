"""Draw a scene of the street world as an RGB picture, with Pillow and a font that matplotlib ships.

The layout is in fractions of the picture, on a grid of GRID x GRID cells, each letter of the sign in the
middle of its own cell: text that lies on the patch grid of a vision transformer is text that a small one
can learn to read.
"""

import random
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from recap.world.lexicon import COLOURS, DARK_SIGNS
from recap.world.scenes import GRID, Scene

Box = tuple[float, float, float, float]  # left, top, right, bottom
Shade = tuple[int, int, int]


def render(scene: Scene) -> Image.Image:
    """The picture of a scene: RGB, `scene.width` x `scene.height` pixels. The same scene gives the same pixels."""
    rng = random.Random(scene.look)
    image = Image.new("RGB", (scene.width, scene.height))
    draw = ImageDraw.Draw(image)
    _draw_backdrop(draw, scene, rng)
    _draw_sign(draw, scene)
    for box in group_boxes(scene):
        _draw_object(draw, scene.kind, _shade(COLOURS[scene.colour], rng), _scaled(box, scene))
    _draw_object(draw, scene.other_kind, _shade(COLOURS[scene.other_colour], rng), _scaled(other_box(scene), scene))
    return image


def save_jpeg(scene: Scene, target: Path | BinaryIO) -> None:
    """Render a scene as JPEG into a file or a stream (quality 82 to 94, by `scene.look`)."""
    render(scene).save(target, "JPEG", quality=82 + scene.look % 13)


def sign_box(scene: Scene) -> Box:
    """The sign's board, in cells."""
    left, top = scene.sign_column - 0.3, scene.sign_row - 0.3
    return left, top, scene.sign_column + len(scene.word) + 0.3, scene.sign_row + 1.3


def group_boxes(scene: Scene) -> list[Box]:
    """The boxes of the main group's objects, in cells: one large, or up to four small ones in two rows."""
    left = 0.6 if scene.side == "left" else 6.6
    if scene.count == 1:
        return [(left, 6.5, left + 4.9, 10.9)]
    places = [(0.0, 8.9), (2.5, 8.9), (0.0, 6.4), (2.5, 6.4)]
    return [(left + x, y, left + x + 2.3, y + 2.3) for x, y in places[: scene.count]]


def other_box(scene: Scene) -> Box:
    """The box of the other object, in cells; smaller than a single main object, so that the main one stands out."""
    left = 7.4 if scene.side == "left" else 1.4
    return left, 8.0, left + 3.2, 10.9


def _scaled(box: Box, scene: Scene) -> Box:
    x, y = scene.width / GRID, scene.height / GRID
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _shade(colour: Shade, rng: random.Random, spread: int = 12) -> Shade:
    red, green, blue = (min(max(value + rng.randint(-spread, spread), 0), 255) for value in colour)
    return red, green, blue


def _draw_backdrop(draw: ImageDraw.ImageDraw, scene: Scene, rng: random.Random) -> None:
    width, height = scene.width, scene.height
    sky = _shade((24, 30, 66) if scene.night else (186, 216, 238), rng)
    ground = _shade((72, 72, 80) if scene.night else (168, 166, 160), rng)
    horizon = height * 6.2 / GRID
    draw.rectangle((0, 0, width, height), fill=sky)
    moon = (250, 246, 220) if scene.night else (255, 226, 110)
    x, radius = width * rng.choice((0.06, 0.94)), width * 0.035
    draw.ellipse((x - radius, height * 0.03, x + radius, height * 0.03 + 2 * radius), fill=moon)
    left = 0.0
    while left < width:
        right = left + width * rng.uniform(0.1, 0.22)
        top = horizon - height * rng.uniform(0.04, 0.2)
        wall = rng.randint(52, 70) if scene.night else rng.randint(188, 208)
        draw.rectangle((left, top, right, horizon), fill=_shade((wall, wall - 4, wall - 8), rng, 5))
        left = right
    draw.rectangle((0, horizon, width, height), fill=ground)
    kerb = height * 11.3 / GRID
    for step in range(6):
        dash = width * (step + 0.2) / 6
        draw.rectangle((dash, kerb, dash + width * 0.08, kerb + height * 0.018), fill=(222, 222, 214))


def _draw_sign(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    x, y = scene.width / GRID, scene.height / GRID
    board = _scaled(sign_box(scene), scene)
    ink = (250, 250, 250) if scene.sign_colour in DARK_SIGNS else (18, 18, 18)
    middle = (board[0] + board[2]) / 2
    draw.rectangle((middle - x * 0.12, board[3], middle + x * 0.12, scene.height * 6.6 / GRID), fill=(96, 96, 100))
    draw.rectangle(board, fill=COLOURS[scene.sign_colour], outline=ink, width=max(1, round(x * 0.06)))
    font = _font(round(min(x, y) * 1.12))
    for offset, letter in enumerate(scene.word.upper()):
        centre = ((scene.sign_column + offset + 0.5) * x, (scene.sign_row + 0.5) * y)
        draw.text(centre, letter, font=font, fill=ink, anchor="mm")


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono-Bold.ttf"
    # Basic layout: the same glyph positions whether or not Pillow was built with Raqm.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _draw_object(draw: ImageDraw.ImageDraw, kind: str, fill: Shade, box: Box) -> None:
    """Draw one object: its parts in fractions of its box, its colour on the large parts."""
    left, top, right, bottom = box
    dark, glass, line = (38, 38, 42), (206, 226, 236), (60, 60, 64)

    def at(x0: float, y0: float, x1: float, y1: float) -> Box:
        width, height = right - left, bottom - top
        return left + x0 * width, top + y0 * height, left + x1 * width, top + y1 * height

    def points(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [at(x, y, x, y)[:2] for x, y in pairs]

    thick = max(1, round((right - left) * 0.05))
    match kind:
        case "car":
            draw.polygon(points((0.2, 0.5), (0.32, 0.22), (0.7, 0.22), (0.84, 0.5)), fill=fill, outline=line)
            draw.rectangle(at(0.02, 0.48, 0.98, 0.8), fill=fill, outline=line)
            draw.rectangle(at(0.36, 0.29, 0.66, 0.46), fill=glass)
            for x in (0.16, 0.62):
                draw.ellipse(at(x, 0.66, x + 0.24, 0.98), fill=dark)
        case "bus":
            draw.rectangle(at(0.0, 0.12, 1.0, 0.84), fill=fill, outline=line)
            for x in (0.06, 0.3, 0.54, 0.78):
                draw.rectangle(at(x, 0.22, x + 0.17, 0.46), fill=glass)
            for x in (0.14, 0.66):
                draw.ellipse(at(x, 0.72, x + 0.2, 1.0), fill=dark)
        case "truck":
            draw.rectangle(at(0.0, 0.1, 0.64, 0.8), fill=fill, outline=line)
            draw.rectangle(at(0.68, 0.4, 1.0, 0.8), fill=fill, outline=line)
            draw.rectangle(at(0.8, 0.46, 0.98, 0.6), fill=glass)
            for x in (0.08, 0.36, 0.74):
                draw.ellipse(at(x, 0.72, x + 0.2, 1.0), fill=dark)
        case "bicycle":
            for x in (0.0, 0.58):
                draw.ellipse(at(x, 0.46, x + 0.42, 0.98), outline=dark, width=thick)
            frame = points((0.2, 0.72), (0.36, 0.34), (0.68, 0.34), (0.5, 0.72), (0.2, 0.72))
            draw.line(frame, fill=fill, width=thick * 3)
            draw.line(points((0.78, 0.72), (0.66, 0.2), (0.8, 0.14)), fill=fill, width=thick * 3)
            draw.rectangle(at(0.26, 0.24, 0.46, 0.34), fill=fill)
        case "bench":
            draw.rectangle(at(0.02, 0.2, 0.98, 0.46), fill=fill, outline=line)
            draw.rectangle(at(0.0, 0.56, 1.0, 0.72), fill=fill, outline=line)
            for x in (0.08, 0.82):
                draw.rectangle(at(x, 0.72, x + 0.1, 1.0), fill=dark)
        case "tree":
            draw.rectangle(at(0.42, 0.56, 0.58, 1.0), fill=(110, 74, 40))
            draw.ellipse(at(0.08, 0.0, 0.92, 0.68), fill=fill, outline=line)
        case "house":
            draw.polygon(points((0.0, 0.42), (0.5, 0.0), (1.0, 0.42)), fill=(120, 86, 62), outline=line)
            draw.rectangle(at(0.1, 0.42, 0.9, 1.0), fill=fill, outline=line)
            draw.rectangle(at(0.42, 0.66, 0.6, 1.0), fill=(84, 58, 40))
            draw.rectangle(at(0.18, 0.52, 0.34, 0.7), fill=glass)
        case "lamp":
            draw.rectangle(at(0.46, 0.3, 0.54, 0.94), fill=dark)
            draw.rectangle(at(0.3, 0.92, 0.7, 1.0), fill=dark)
            draw.polygon(points((0.36, 0.0), (0.64, 0.0), (0.86, 0.36), (0.14, 0.36)), fill=fill, outline=line)
        case "cat":
            draw.ellipse(at(0.2, 0.5, 0.8, 1.0), fill=fill, outline=line)
            draw.polygon(points((0.26, 0.3), (0.28, 0.0), (0.44, 0.16)), fill=fill, outline=line)
            draw.polygon(points((0.74, 0.3), (0.72, 0.0), (0.56, 0.16)), fill=fill, outline=line)
            draw.ellipse(at(0.24, 0.1, 0.76, 0.58), fill=fill, outline=line)
            for x in (0.36, 0.56):
                draw.ellipse(at(x, 0.26, x + 0.08, 0.38), fill=(120, 200, 90))
            draw.arc(at(0.66, 0.4, 1.0, 0.96), 270, 90, fill=fill, width=thick * 2)
        case "dog":
            draw.rectangle(at(0.14, 0.4, 0.74, 0.7), fill=fill, outline=line)
            for x in (0.16, 0.3, 0.52, 0.64):
                draw.rectangle(at(x, 0.68, x + 0.09, 1.0), fill=fill, outline=line)
            draw.rectangle(at(0.64, 0.14, 0.94, 0.46), fill=fill, outline=line)
            draw.rectangle(at(0.86, 0.3, 1.0, 0.44), fill=dark)
            draw.polygon(points((0.64, 0.16), (0.56, 0.42), (0.7, 0.36)), fill=dark)
            draw.line(points((0.16, 0.44), (0.02, 0.2)), fill=fill, width=thick * 2)

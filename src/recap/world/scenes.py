"""Scenes of the street world: what stands where, drawn at random but reproducibly, and never shared by two splits.

A scene has a sign with one word, a group of one to four equal objects on one side of the street and one
other object on the other side, by day or by night. Everything a caption or a question can be about is a
field of `Scene`; `recap.world.rendering` turns it into pixels.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from recap.runtime.seeding import derive_seed
from recap.world.lexicon import COLOURS, KINDS, SIDES, SIGN_COLOURS, SIGN_WORDS

NIGHTS = 0.3  # Share of scenes at night.

GRID = 12  # The picture is laid out on GRID x GRID cells; every letter of the sign fills one.

# Each split owns a share of all possible contents, in 64ths; the content's hash decides which one.
SPLITS = {
    "foundry": range(32),
    "foundry_heldout": range(32, 36),
    "corpus": range(36, 48),
    "finetune": range(48, 54),
    "textvqa": range(54, 56),
    "mmbench": range(56, 58),
    "vqav2": range(58, 60),
    "gqa": range(60, 62),
    "okvqa": range(62, 64),
}


@dataclass(frozen=True)
class Scene:
    """One street scene. Colours, kinds and words are keys of `recap.world.lexicon`."""

    id: str
    word: str
    sign_colour: str
    night: bool
    kind: str
    colour: str
    count: int  # 1 to 4
    side: str  # of the main group: "left" or "right"; the other object stands opposite
    other_kind: str
    other_colour: str
    sign_row: int  # cell of the first letter
    sign_column: int
    width: int  # pixels
    height: int
    look: int  # seeds what no text speaks of: skyline, shades, JPEG quality

    @property
    def content(self) -> tuple[object, ...]:
        """What the picture shows, without where the sign hangs, its size and its shades."""
        return (
            self.word, self.sign_colour, self.night, self.kind, self.colour, self.count, self.side,
            self.other_kind, self.other_colour,
        )  # fmt: skip

    @property
    def other_side(self) -> str:
        return "right" if self.side == "left" else "left"

    @property
    def time(self) -> str:
        return "night" if self.night else "day"


def split_of(content: tuple[object, ...]) -> str:
    """The split that owns a content."""
    bucket = hashlib.blake2b(repr(content).encode(), digest_size=1).digest()[0] % 64
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def scenes(split: str, count: int, seed: int) -> Iterator[Scene]:
    """Yield `count` scenes of a split, no content twice; a longer run starts with the same scenes.

    Args:
        split: A key of `SPLITS`.
        count: How many.
        seed: The world's seed; the same seed gives the same scenes on every machine.

    Raises:
        ValueError: No split has that name, so no content belongs to it.
    """
    if split not in SPLITS:
        raise ValueError(f"expected a split among {', '.join(SPLITS)}, found {split!r}")
    rng = random.Random(derive_seed(seed, "scenes", split))
    seen: set[tuple[object, ...]] = set()
    while len(seen) < count:
        scene = _draw(rng, f"{split}-{len(seen):06d}")
        if scene.content not in seen and split_of(scene.content) == split:
            seen.add(scene.content)
            yield scene


def _draw(rng: random.Random, scene_id: str) -> Scene:
    word = rng.choice(list(SIGN_WORDS))
    kind, other_kind = rng.sample(list(KINDS), 2)
    colour, other_colour = rng.sample(list(COLOURS), 2)
    width, height = _draw_size(rng)
    return Scene(
        id=scene_id,
        word=word,
        sign_colour=rng.choice(SIGN_COLOURS),
        night=rng.random() < NIGHTS,
        kind=kind,
        colour=colour,
        count=rng.choices((1, 2, 3, 4), weights=(4, 3, 2, 2))[0],
        side=rng.choice(SIDES),
        other_kind=other_kind,
        other_colour=other_colour,
        sign_row=rng.randint(1, 3),
        sign_column=rng.randint(1, GRID - 1 - len(word)),
        width=width,
        height=height,
        look=rng.getrandbits(31),
    )


def _draw_size(rng: random.Random) -> tuple[int, int]:
    """Width and height in pixels: 89 % medium, 4 % under 224 on both sides, 7 % large; 402 x 370 on average."""
    share = rng.random()
    if share < 0.04:
        long_side = rng.randint(150, 220)
    elif share < 0.11:
        long_side = rng.randint(560, 700)
    else:
        long_side = min(max(round(rng.gauss(392, 35)), 320), 500)
    short_side = round(long_side * min(max(rng.gauss(0.9, 0.05), 0.72), 1.0))
    return (short_side, long_side) if rng.random() < 0.1 else (long_side, short_side)

"""What is known of captions: BLIP-2's of each image, and how well a caption fits its image.

`captions_path`      JSON Lines of `{"image", "caption", "alignment", ...}`: BLIP-2's, a row per image that has one
`raw_captions_path`  JSON Lines of `{"id", "image", "caption", "alignment"}`: the corpus's own

An alignment is the cosine of a CLIP-like model, in [-1, 1], or null where none was computed. It belongs to an image and
a text, so a caption that anything changes has none.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import TypeVar

from recap.io import read_jsonl
from recap.runtime.errors import UserError

RAW, BLIP2 = "raw", "blip2"
"""What `caption_source` says of a row; a placebo gives its own name."""

Value = TypeVar("Value")

Alignments = Mapping[str, Mapping[str, float]]
"""By image, then by caption."""


@lru_cache(maxsize=1)
def read_captions(path: str) -> dict[str, str]:
    """Captions by image path; an image without one, or with an empty one, is absent."""
    return {row["image"]: row["caption"] for row in read_jsonl(path) if row["caption"].strip()}


@lru_cache(maxsize=1)
def read_alignments(*paths: str) -> Alignments:
    """What files of captions say of how well each fits its image; pairs without a score are absent."""
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        for row in read_jsonl(path):
            if row.get("alignment") is not None:
                found.setdefault(row["image"], {})[row["caption"].strip()] = row["alignment"]
    return found


def required_alignments(operator: str, *paths: str) -> Alignments:
    """`read_alignments` for an operator that decides by them.

    Raises:
        UserError: There is none.
    """
    found = read_alignments(*paths)
    if not found:
        raise UserError(
            f"{operator} decides by alignment scores: expected some in {' and '.join(paths)}, found none; set "
            "models.aligner.path in params.yaml to a CLIP-like model"
        )
    return found


def alignment_of(image: str, caption: str, alignments: Alignments) -> float | None:
    """How well this very caption fits this image; None if nobody has scored the pair."""
    return (value_for(image, alignments) or {}).get(caption.strip())


def value_for(image: str, values: Mapping[str, Value]) -> Value | None:
    """What is known of an image, such as its caption: by its name, or by an absolute path that ends in it.

    Names are those below the folder of the corpus. Data-Juicer's own command makes absolute paths of what rows say; the
    end of a name is another image's name.
    """
    if image in values:
        return values[image]
    path = PurePath(image)
    ends = ("/".join(path.parts[start:]) for start in range(1, len(path.parts))) if path.is_absolute() else ()
    return next((values[end] for end in ends if end in values), None)

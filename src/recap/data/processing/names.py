"""Which of the names that a file knows an image by is meant by a row."""

from collections.abc import Container
from pathlib import PurePath


def known_name(image: str, names: Container[str]) -> str | None:
    """An image's name among `names`: what the row says, or what a path in it ends in; None if there is none.

    Files name images from the folder of their corpus; Data-Juicer makes paths of its own of what rows say.
    """
    if image in names:
        return image
    parts = PurePath(image).parts
    ends = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((end for end in ends if end in names), None)

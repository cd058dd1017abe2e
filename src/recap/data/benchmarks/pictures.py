"""Open the picture that a question is about, wherever the benchmark has it."""

import base64
import binascii
import io
from pathlib import Path

from PIL import Image

from recap.data.benchmarks.questions import DATA_URI, Question
from recap.data.corpus.images import BadImage, decode_image, open_image


def open_question_image(question: Question, folder: Path) -> Image.Image:
    """The image that a question is about, as RGB.

    Raises:
        BadImage: It is missing, broken, too large, or outside the folder.
    """
    return open_named(question.image, folder, f"row {question.key}")


def open_named(image: str, folder: Path, name: str) -> Image.Image:
    """The image that `Question.image` names, as RGB; `name` is what an error calls one that stands there itself.

    Raises:
        BadImage: See `open_question_image`.
    """
    if not image.startswith(DATA_URI):
        return open_image(folder, image)
    try:
        content = base64.b64decode(image.removeprefix(DATA_URI))
    except binascii.Error as error:
        raise BadImage("broken_image", f"{name}: not base64: {error}") from None
    return decode_image(io.BytesIO(content), f"image of {name}")

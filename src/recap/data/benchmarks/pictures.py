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
    if not question.image.startswith(DATA_URI):
        return open_image(folder, question.image)
    try:
        data = base64.b64decode(question.image.removeprefix(DATA_URI))
    except binascii.Error as error:
        raise BadImage("broken_image", f"row {question.key}: not base64: {error}") from None
    return decode_image(io.BytesIO(data), f"image of row {question.key}")

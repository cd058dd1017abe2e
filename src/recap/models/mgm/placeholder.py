"""Which token an image stands as: one of those that Gemma's tokenizer has and never uses.

`input_ids` then hold only ids of the vocabulary, so that whatever reads a prompt (a repetition penalty, an n-gram
ban, `decode`) works as on text. The original writes -200 there (dvlab-research/MGM@769820c mgm/constants.py); the
model and the processor still read it.
"""

import re
from typing import Any

from recap.runtime.errors import UserError

_UNUSED = re.compile(r"<unused(\d+)>")


def image_placeholder(tokenizer: Any, vocabulary_size: int) -> int:
    """The id of the tokenizer's `<unusedN>` with the smallest N.

    Args:
        tokenizer: Gemma's.
        vocabulary_size: Rows of the model's embedding table.

    Raises:
        UserError: The tokenizer has no such token among the model's embeddings.
    """
    unused = {
        int(match[1]): token
        for text, token in tokenizer.get_vocab().items()
        if (match := _UNUSED.fullmatch(text)) and token < vocabulary_size
    }
    if not unused:
        raise UserError(
            f"{tokenizer.name_or_path}: expected a token <unused0>, <unused1>, ... below id {vocabulary_size} for an "
            "image to stand as, found none; Gemma's own tokenizer has them, use the one that came with the model"
        )
    return unused[min(unused)]

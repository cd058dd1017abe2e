"""What captions are written in: the language, where Data-Juicer's model for it is there, else the script.

The model (`lid.176.bin` in Data-Juicer's cache, with the package fasttext-predict) is not fetched by a run. A script is
what the names of letters in Unicode begin with: LATIN, CYRILLIC, CJK, ...
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from recap.data.processing.juicer import Fields, load_ops
from recap.runtime.errors import UserError

NO_LETTERS = "no letters"
LANGUAGE, SCRIPT = "language", "script"


def languages(captions: Sequence[str]) -> tuple[str, list[str]]:
    """What each caption is written in.

    Returns:
        "language" or "script", and one name per caption.
    """
    operator = _identifier()
    if operator is None:
        return SCRIPT, [script_of(caption) for caption in captions]
    return LANGUAGE, [_language(operator, caption) for caption in captions]


@cache
def _identifier() -> Any:
    """Data-Juicer's operator that tells languages; None where its model is not there."""
    try:
        (operator,) = load_ops([{"language_id_score_filter": {}}])
    except UserError:
        return None
    return operator


def _language(operator: Any, caption: str) -> str:
    row = operator.compute_stats_single({operator.text_key: caption, Fields.stats: {}})
    return str(row[Fields.stats]["lang"])


def script_of(caption: str) -> str:
    """The script of most of a caption's letters, the first of equals."""
    if caption.isascii():
        return "LATIN" if any(map(str.isalpha, caption)) else NO_LETTERS
    scripts = Counter(_script(letter) for letter in caption if letter.isalpha())
    return scripts.most_common(1)[0][0] if scripts else NO_LETTERS


@lru_cache(maxsize=65536)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNNAMED").split()[0].split("-")[0]

"""The one exception a user is meant to read, and what is put into its one line."""

import re
from itertools import pairwise
from pathlib import Path

LONGEST = 4_000
"""Characters of a message."""


LINE_BREAK = re.compile(r"(?<!\s)\s*[\r\n]\s*")
"""With the blanks around it; it begins at their first one alone, so that a million of them take no time."""


class UserError(Exception):
    """Something the user can put right: bad input, a bad parameter, a missing model.

    The message is one line that says what was expected, what was found, where, and what to do.
    `recap.runtime.stage.run` prints it and exits with 1; no traceback is shown. What it quotes of others may hold line
    breaks, which become blanks, or a book, whose middle is left out.
    """

    def __init__(self, message: str) -> None:
        line = LINE_BREAK.sub(" ", message)
        # What to do stands at the end.
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 500]} ... {line[-495:]}")


def one_line(error: BaseException | str, limit: int | None = None) -> str:
    """What a library says, without line breaks, up to a number of characters; of an error without words its kind."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def hint_on_copies() -> str:
    """What to add where a file may be missing because `dvc exp run --temp` or `--queue` runs in a copy."""
    parts = Path.cwd().parts
    if (".dvc", "tmp") not in pairwise(parts):
        return ""
    return " (this is a copy that DVC made, which holds only what Git tracks: give an absolute path in params.yaml)"

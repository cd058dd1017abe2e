"""Other people's text where a person reads it: a terminal, a log, a page, Markdown.

Captions, answers, file names and recipes come from anywhere. Whatever shows them shows letters and nothing else: no
character moves a cursor, turns letters round or hides, no markup is obeyed, and no secret of whoever runs is told.
"""

import os
import re

from recap.runtime.errors import LINE_BREAK

# All but tabs and line ends: ASCII's and Latin-1's controls; what embeds, overrides, isolates or marks a direction;
# what has no width or hides a break; tags, which are invisible letters; halves of surrogate pairs. The joiners
# U+200C and U+200D stay: Persian words and families of emoji are written with them.
CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
# `name:password` or a token before the host of a URL. A name alone (ssh://git@host) is no secret; a token alone is
# told from a name by its length.
_URL_CREDENTIALS = re.compile(r"(?<=://)(?:[^\s/@:]*:[^\s/@]+|[^\s/@:]{20,})(?=@)")
# One that a URL asks with: ?private_token=...&
_QUERY_SECRET = re.compile(r"(?<=[?&])([\w-]*(?:token|key|secret|sig|password)[\w-]*=)[^&\s'\"]+", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|KEY|KEY_ID|CONNECTION_STRING)$", re.IGNORECASE
)
# Shorter values ("1", "false") are no secrets, and masking them would spoil every other word.
_SHORTEST_SECRET = 8
MASK = "***"

# What Markdown, as GitHub reads it, would take for something else than letters.
_MARKDOWN = re.compile(r"[`\\*~|#@\r\n]|<[a-z/!?]|&#?\w+;|\][(\[:]|://|www\.", re.IGNORECASE)


def visible(text: str) -> str:
    """The text with its control characters spelt out: U+202E."""
    return CONTROLS.sub(code_point, text)


def code_point(found: re.Match[str]) -> str:
    return f"U+{ord(found[0]):04X}"


def for_terminal(text: str) -> str:
    """As `visible`, and a carriage return, which would let what follows hide the line, is spelt out too."""
    return visible(text).replace("\r", "U+000D")


def without_secrets(text: str) -> str:
    """The text without passwords and tokens in URLs, and without the values of environment variables that hold secrets.

    A variable does if its name ends in TOKEN, SECRET, PASSWORD, KEY or the like and its value is no short one.
    """
    secrets = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    # The longest first: a secret may begin with another one.
    for secret in sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _QUERY_SECRET.sub(rf"\1{MASK}", _URL_CREDENTIALS.sub(MASK, text))


def in_markdown(text: str) -> str:
    """A text within a line of Markdown: as it is where every character means itself, else as code, where all do."""
    line = visible(text)
    return code_span(line) if _MARKDOWN.search(line) else line


def code_span(text: str) -> str:
    """A text as one line of Markdown code; backquotes, which would end it, become apostrophes."""
    line = " ".join(visible(text).replace("`", "'").split())
    return f"`{line or ' '}`"


def in_table(cell: str) -> str:
    """A piece of Markdown as a cell of a table: its bars divide nothing, and it has one line."""
    return LINE_BREAK.sub(" ", cell).replace("|", "\\|")

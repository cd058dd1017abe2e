"""Walk a JSON text of any size, an item at a time: the standard decoder over a window that moves along the file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from recap.runtime.errors import UserError

CHARACTERS_AT_A_TIME = 1 << 18

_DECODER = json.JSONDecoder()


class JsonWindow:
    """A cursor in a JSON text. Nothing before it is kept."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no blank, "" at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._read(CHARACTERS_AT_A_TIME)

    def skip(self, character: str) -> bool:
        """Step over a character if it is the next one."""
        found = self.peek() == character
        self._at += found
        return found

    def expect(self, character: str) -> None:
        """Raises: json.JSONDecodeError."""
        if not self.skip(character):
            raise json.JSONDecodeError(f"expected {character!r}, found {self.peek()!r}", self._text, self._at)

    def value(self) -> Any:
        """Decode the next value.

        Raises:
            json.JSONDecodeError: The text is broken or ends within it.
        """
        self.peek()
        size = CHARACTERS_AT_A_TIME
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise json.JSONDecodeError("nested too deeply", self._text, self._at) from None
            except json.JSONDecodeError:
                # A value that the window cuts looks like a broken one.
                if self._ended:
                    raise
            except ValueError:
                raise json.JSONDecodeError("a number with too many digits", self._text, self._at) from None
            else:
                # A number that touches the window's end may go on behind it.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            self._read(size)
            size *= 2

    def items(self) -> Iterator[Any]:
        """The items of the array that comes next."""
        self.expect("[")
        if self.skip("]"):
            return
        while True:
            yield self.value()
            if self.skip("]"):
                return
            self.expect(",")

    def _read(self, size: int) -> None:
        more = self._stream.read(size)
        self._ended = not more
        self._text = self._text[self._at :] + more
        self._at = 0


@contextmanager
def json_window(path: Path) -> Iterator[JsonWindow]:
    """Open a file. A byte order mark is dropped; bytes that are not UTF-8 become surrogates, which cost their row only.

    Raises:
        UserError: The text is broken within the block, or cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
            yield JsonWindow(stream)
    except OSError as error:
        raise UserError(f"{path}: expected a JSON file, found what cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: expected whole JSON, {error.msg}: {error.doc[error.pos : error.pos + 40]!r}"
        ) from None


def array_items(path: Path) -> Iterator[Any]:
    """The items of a file that is one JSON array.

    Raises:
        UserError: The file is no array, is broken, or goes on behind it.
    """
    with json_window(path) as window:
        yield from window.items()
        if window.peek():
            raise UserError(f"{path}: expected one JSON array, found {window.peek()!r} behind it")


def object_items(path: Path) -> Iterator[tuple[str, Any]]:
    """The members of the first JSON object of a file: (key, item) for each item of an array, (key, value) for others.

    Raises:
        UserError: The object is broken.
    """
    with json_window(path) as window:
        window.expect("{")
        while not window.skip("}"):
            key = window.value()
            window.expect(":")
            if window.peek() == "[":
                for item in window.items():
                    yield key, item
            else:
                yield key, window.value()
            window.skip(",")


def starts_with(path: Path) -> str:
    """The first character of a file that is neither blank nor a byte order mark; "" if there is none.

    Raises:
        UserError: The file cannot be read.
    """
    with json_window(path) as window:
        return window.peek()

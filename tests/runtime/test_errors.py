"""A message is one line of a length that a person reads, whatever it quotes."""

import pickle

import pytest

from recap.runtime.errors import LONGEST, UserError


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("a  b: expected c", "a  b: expected c"),
        ("found line\nbreak; do this", "found line break; do this"),
        ("found \r\n\n  two\rmore", "found two more"),
        ("", ""),
    ],
)
def test_line_breaks_become_blanks_and_other_blanks_stay(message: str, line: str) -> None:
    assert str(UserError(message)) == line


def test_a_million_blanks_take_no_time() -> None:
    assert str(UserError("found" + " " * 1_000_000 + "x")).startswith("found   ")
    assert str(UserError("found" + " " * 1_000_000 + "\n" + " " * 1_000_000 + "x")) == "found x"


def test_of_a_book_the_beginning_and_the_end_stay() -> None:
    assert str(UserError("x" * LONGEST)) == "x" * LONGEST
    line = str(UserError(f"a.json: expected a name, found {'x' * 10_000}; name it anew"))
    assert len(line) == LONGEST
    assert line.startswith("a.json: expected a name, found xxx") and line.endswith("xxx; name it anew")
    assert "x ... x" in line


def test_an_error_of_another_process_is_the_same() -> None:
    error = UserError("a\nb")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a b"

"""Other people's text stays text: in terminals and logs, in Markdown, and without the secrets of whoever runs."""

import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from recap.comparison.markdown_table import markdown_table
from recap.runtime.display import CONTROLS, code_span, for_terminal, in_markdown, visible, without_secrets
from tests.hostile_text import ALL, BREAKS, ESCAPES, LINK, SCRIPT, TURNED

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "U+001B[31m"),
        ("\x9b31m", "U+009B31m"),
        ("a\u202eb\u2069", "aU+202EbU+2069"),
        ("zero\u200bwidth\ufeff", "zeroU+200BwidthU+FEFF"),
        ("\U000e0041", "U+E0041"),
        ("half \ud83d", "half U+D83D"),
        ("tab\tline\n", "tab\tline\n"),
        ("می\u200cخواهم 👩\u200d👧 é", "می\u200cخواهم 👩\u200d👧 é"),
    ],
)
def test_control_characters_are_spelt_out_and_letters_are_not(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert for_terminal(f"{text}\r") == f"{shown}U+000D"


@given(st.text(st.characters(codec=None)))
def test_what_a_terminal_gets_can_be_written_and_moves_nothing(text: str) -> None:
    shown = for_terminal(text)
    assert not CONTROLS.search(shown) and "\r" not in shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://user:pass@host/x", "https://***@host/x"),  # pragma: allowlist secret
        ("https://:pass@host and s3://a:b@c/", "https://***@host and s3://***@c/"),
        ("https://ghp_0123456789abcdefghij@github.com/x", "https://***@github.com/x"),
        ("https://host/x.git?private_token=abc&page=1 ", "https://host/x.git?private_token=***&page=1 "),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("token hf_planted_planted, again hf_planted_planted!", "token ***, again ***!"),
        ("false 12345 /home/me/.aws/credentials", "false 12345 /home/me/.aws/credentials"),
    ],
)
def test_secrets_are_masked(text: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted_planted")
    monkeypatch.setenv("SHORT_TOKEN", "12345")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/home/me/.aws/credentials")
    assert without_secrets(text) == told


def test_a_secret_that_begins_with_another_goes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "planted-1")
    monkeypatch.setenv("B_TOKEN", "planted-1-and-more")
    assert without_secrets("planted-1-and-more") == "***"


def _flat(tokens: list[Token]) -> list[Token]:
    return [found for token in tokens for found in (token, *_flat(token.children or []))]


def _kinds(markdown: str) -> set[str]:
    return {token.type for token in _flat(MARKDOWN.parse(markdown))}


CELLS = {"table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close", "tr_open", "tr_close"}
CELLS |= {"th_open", "th_close", "td_open", "td_close", "inline", "text", "code_inline"}
# Emphasis by underscores hides nothing; a backslash that stands before no sign of Markdown is itself.
HARMLESS = {"em_open", "em_close", "strong_open", "strong_close"}


@given(st.lists(st.text() | st.sampled_from([t[:200] for t in ALL]), min_size=2, max_size=4))
def test_nothing_breaks_out_of_a_markdown_table(cells: list[str]) -> None:
    markdown = markdown_table([["name"] * len(cells), [in_markdown(cell) for cell in cells]])
    assert _kinds(markdown) - HARMLESS <= CELLS
    rows = [token for token in MARKDOWN.parse(markdown) if token.type == "td_open"]
    assert len(rows) == len(cells)


@given(st.text() | st.sampled_from(ALL))
def test_nothing_breaks_out_of_a_code_span(text: str) -> None:
    assert _kinds(f"- {code_span(text)} end") == {
        *("bullet_list_open", "list_item_open", "paragraph_open", "inline", "code_inline", "text"),
        *("paragraph_close", "list_item_close", "bullet_list_close"),
    }


@pytest.mark.parametrize("text", [SCRIPT, LINK, BREAKS])
def test_a_line_of_markdown_obeys_nothing(text: str) -> None:
    found = _kinds(f"so: {in_markdown(text)}")
    assert found.isdisjoint({"html_inline", "html_block", "link_open", "image", "heading_open"})


@pytest.mark.parametrize(
    "text",
    ["textvqa", "+3.21", "[+3.21, +30.12]", "<0.001", "recipes/blip2.yaml", "A: blip2 (3 seeds)", "a & b", "5 > 3"],
)
def test_what_means_itself_stays_as_it_is(text: str) -> None:
    assert in_markdown(text) == text


PLANTED = "planted-in-secret"
COMMAND = """
import logging
from recap.runtime.errors import UserError
from recap.runtime.stage import run
HOSTILE = {hostile!r}
def main():
    logging.getLogger("x").info("a log of %s", HOSTILE)
    logging.getLogger("x").warning("a push to https://me:{password}@host with {password}")
    print("said " + HOSTILE)
    raise {error}("found " + HOSTILE + " and https://me:{password}@host")
run(main)
"""


@pytest.mark.parametrize("error", ["UserError", "RuntimeError"])
def test_a_terminal_gets_no_escape_sequence(error: str) -> None:
    """In a real pseudo-terminal: the log, the output, the line of an error, and the traceback of a bug."""
    hostile = ESCAPES + TURNED + "\roverwritten"
    reader, writer = pty.openpty()
    environment = os.environ | {"AWS_SECRET_ACCESS_KEY": PLANTED, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", COMMAND.format(hostile=hostile, error=error, password=PLANTED)]
    with subprocess.Popen(command, stdout=writer, stderr=writer, env=environment) as process:
        os.close(writer)
        said = b""
        while True:
            try:
                said += os.read(reader, 65536)
            except OSError:  # the other end is closed
                break
    os.close(reader)
    assert process.returncode == 1
    # The terminal itself ends lines with CR and LF.
    lines = said.decode().replace("\r\n", "\n")
    assert not CONTROLS.search(lines) and "\r" not in lines
    assert lines.count("U+001B[2J") >= 3 and "said U+001B[2J" in lines and "U+000Doverwritten" in lines
    assert "planted" not in lines and lines.count("https://***@host") == 2


def test_a_pipe_gets_what_was_printed() -> None:
    command = [sys.executable, "-c", f"from recap.runtime.stage import run; run(lambda: print({ESCAPES!r}))"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.decode() == ESCAPES + "\n"

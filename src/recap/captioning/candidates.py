"""What a captioner writes of an image: one or more candidates, of which one becomes its caption."""

from collections.abc import Iterable
from dataclasses import dataclass

from recap.captioning.junk import junk_reason


@dataclass(frozen=True)
class Candidate:
    """One caption that an image could have.

    Attributes:
        caption: One line without the prompt, "" when it holds no word.
        prompt: The text that it continues; empty for plain captioning.
        truncated: Whether the token limit ended it.
        junk: Why it describes nothing, one of `recap.captioning.junk.REASONS`; None for a caption that may be chosen.
    """

    caption: str
    prompt: str = ""
    truncated: bool = False
    junk: str | None = None


def candidate_of(text: str, prompt: str, *, truncated: bool, language: str | None = None) -> Candidate:
    """A candidate from decoded new tokens, judged.

    Args:
        text: The new tokens as text.
        prompt: What they continue.
        truncated: Whether the token limit ended them.
        language: The language asked for; None for any.
    """
    reason = junk_reason(text, prompt, truncated=truncated, language=language)
    return Candidate(clean_caption(text, prompt), prompt, truncated, reason)


def clean_caption(text: str, prompt: str = "") -> str:
    """One line without the prompt's echo, or "" when no word is left.

    Some models begin by writing the prompt once more; that echo is cut.
    """
    caption = " ".join(text.split())
    echo = " ".join(prompt.split())
    if echo and caption.lower().startswith(echo.lower()):
        caption = caption[len(echo) :].strip()
    return caption if any(map(str.isalnum, caption)) else ""


def without_duplicates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates of one image; of those with the same caption the first."""
    kept: dict[str, Candidate] = {}
    for candidate in candidates:
        kept.setdefault(candidate.caption, candidate)
    return list(kept.values())

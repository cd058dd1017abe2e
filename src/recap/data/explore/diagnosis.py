"""What is wrong with a corpus: every defect with how many rows have it, some of them, and what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import pandas

from recap.data.explore.recipe import Rule
from recap.data.explore.rules import Bools

EXAMPLES = 5
DARK_BELOW, BRIGHT_ABOVE = 30, 225
"""Mean grey, of 255, outside of which hardly anything can be seen."""


@dataclass(frozen=True)
class Finding:
    """One defect.

    Attributes:
        name: Its key in details.
        title: For people: what is wrong.
        rows: How many rows have it.
        percent: Of all rows, 0-100; of those that cannot be used, of all rows that were read.
        advice: What to do.
        examples: A few captions, names of pictures, or reasons.
    """

    name: str
    title: str
    rows: int
    percent: float
    advice: str
    examples: list[str]

    def to_facts(self) -> dict[str, Any]:
        return {"title": self.title, "rows": self.rows, "percent": self.percent, "advice": self.advice}


@dataclass(frozen=True)
class Defect:
    """A defect that is looked for, and the rows that have it, shape (rows,); `shown` is the examples' column."""

    name: str
    title: str
    rows: Bools
    advice: str
    shown: str = "caption"


def diagnose(
    table: pandas.DataFrame, defects: Sequence[Defect], rejected: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """The defects that rows have, the most frequent first."""
    found = [_finding(table, defect) for defect in defects if defect.rows.any()]
    if count := len(rejected):
        share = 100 * count / (len(table) + count)
        examples = [f"{row['reason']}: {row['detail']}" for row in rejected[:EXAMPLES]]
        found.append(Finding("rejected", "rows that cannot be used", count, share, MEND, examples))
    return sorted(found, key=lambda finding: (-finding.rows, finding.name))


def _finding(table: pandas.DataFrame, defect: Defect) -> Finding:
    shown = table[defect.shown][defect.rows].drop_duplicates()
    count = int(defect.rows.sum())
    return Finding(
        defect.name, defect.title, count, 100 * count / len(table), defect.advice, list(shown.iloc[:EXAMPLES])
    )


def defects_of(
    table: pandas.DataFrame,
    rules: Sequence[Rule],
    *,
    kinds: Sequence[Sequence[str]],
    writing: pandas.Series,
    nearly: Bools,
    same_file: Bools,
    alike: Bools,
) -> list[Defect]:
    """All that is looked for.

    Args:
        table: The corpus.
        rules: Of `recap.data.explore.recipe.suggest`: what one of them would drop is wrong.
        kinds: The kinds of boilerplate of each caption.
        writing: What each caption is written in.
        nearly: Rows whose caption differs little from an earlier row's, and in letters.
        same_file: Rows whose picture is, byte by byte, an earlier row's.
        alike: Rows whose picture looks like an earlier row's.
    """
    most = writing.mode().iloc[0] if len(writing) else ""
    brightness = table["brightness"].to_numpy()
    return [
        *(_of_rule(rule) for rule in rules if rule.operator in BY_RULE),
        *(
            Defect(name, title, numpy.array([name in found for found in kinds], dtype=bool), advice)
            for name, (title, advice) in BOILERPLATE.items()
        ),
        Defect("other_writing", f"captions not in {most.lower()}, as most are", (writing != most).to_numpy(), WRITING),
        Defect("alike_caption", "captions that differ little from an earlier row's", nearly, NEARLY),
        Defect("duplicate_picture", "pictures that an earlier row has, as the same file", same_file, SEEN, "image"),
        Defect("alike_picture", "pictures that look like an earlier row's", alike & ~same_file, SEEN, "image"),
        Defect("dark_picture", "nearly black pictures", brightness < DARK_BELOW, LOOK, "image"),
        Defect("bright_picture", "nearly white pictures", brightness > BRIGHT_ABOVE, LOOK, "image"),
    ]


BY_RULE = {
    "words_num_filter": ("too_short", "captions that are too short", "drop, or recaption them: recipe `repaired`"),
    "text_length_filter": ("too_long", "captions that are far longer than others", "drop: pages, not captions"),
    "word_repetition_filter": ("repeats_words", "captions that repeat runs of words", "drop"),
    "character_repetition_filter": ("repeats_characters", "captions that repeat themselves", "drop"),
    "special_characters_filter": ("few_letters", "captions with more signs than letters", "drop"),
    "image_shape_filter": ("small_picture", "pictures that are small", "drop"),
    "image_aspect_ratio_filter": ("strip_picture", "pictures that are strips", "drop"),
    "leaked_image_filter": ("leaked_picture", "pictures that a benchmark asks about", "drop"),
    "alignment_filter": (
        "badly_aligned", "captions that fit no better than other pictures' do",
        "drop, or recaption them: recipe `selective`",
    ),
    "document_deduplicator": ("duplicate_caption", "captions that an earlier row has", "drop, or recaption"),
}  # fmt: skip
"""For each operator that judges the corpus as it is: the defect that it finds, its title, and what to do."""

BOILERPLATE = {
    "file_name": ("captions that hold a file's name", "recaption: recipe `repaired`"),
    "stock_photo": ("captions that speak of agencies and rights", "recaption: they describe the seller"),
    "url": ("captions with web addresses", "`clean_links_mapper` takes them out"),
    "html": ("captions with HTML", "`replace_content_mapper` takes it out"),
    "placeholder": ("captions that only hold a place", "drop: they say nothing"),
}

WRITING = "drop them unless captioner and language model know them"
NEARLY = "recaption, or keep one of each: `document_minhash_deduplicator`"
MEND = "mend the source: `prepare` leaves them out, and lists each with its reason"
SEEN = "keep one row of each: the corpus is smaller than it looks"
LOOK = "look at some: blank pages and failed downloads look so"


def _of_rule(rule: Rule) -> Defect:
    name, title, advice = BY_RULE[rule.operator]
    shown = "image" if "image" in rule.operator else "caption"
    return Defect(
        name, title, rule.alone, advice if rule.active else f"{advice}; so many that it is yours to decide", shown
    )

"""The recipe that the corpus itself asks for: rules, thresholds, and what each of them would drop.

Shares are what `process` will report: every filter's verdicts are Data-Juicer's own (`recap.data.explore.rules`), the
deduplicator keeps the first of equals among the rows that are left, and mappers come last, where they change no share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import pandas

from recap.data.explore.alignment import badly_aligned, least_alignment
from recap.data.explore.boilerplate import HTML
from recap.data.explore.rules import REPETITION_LENGTH, Bools, caption_hashes, dropped_by, mapped, text_statistics
from recap.data.explore.sizes import SMALL_BELOW_PX
from recap.data.statistics.text import MIN_WORDS

MAX_WORD_REPETITION, MAX_CHARACTER_REPETITION = 0.3, 0.15
"""Shares of repeated runs (`rules.REPETITION_LENGTH`) above which a caption repeats itself; those of the recipes."""

MAX_SPECIAL_CHARACTERS = 0.5
"""Share of characters that are no letters, above which a caption is no sentence."""

MAX_ASPECT_RATIO = 3.0
"""Longer side over shorter one, above which little of a picture is left when it is made square."""

DEDUPLICATION = {"lowercase": True, "ignore_non_character": True}
"""Captions are the same when their letters are: case, digits, punctuation and blanks aside."""

MAPPERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("replace_content_mapper", {"pattern": HTML, "repl": " "}, "HTML"),
    ("clean_links_mapper", {}, "web addresses"),
)
"""What cleans markup. `clean_html_mapper` would need a package that Recap does not install."""

MIN_CHARACTERS = 2 * MIN_WORDS - 1
"""Of a cleaned caption: the fewest words, of a letter each. Words are not counted anew, as Data-Juicer keeps what it
counted before the cleaning."""

MAX_SHARE = 0.3
"""A rule that would take more is a decision about the corpus, no cleaning: it is suggested, but not switched on."""


@dataclass(frozen=True)
class Rule:
    """One operator of the recipe.

    Attributes:
        operator: Data-Juicer's name.
        arguments: As the recipe gives them.
        reason: What is wrong with the rows that it concerns, for a comment.
        alone: Rows that it would drop from the whole corpus, or change, shape (rows,).
        new: Those among them that the active rules before it leave.
        active: Whether it is switched on.
        changes: Whether it is a mapper, which changes rows and drops none.
    """

    operator: str
    arguments: dict[str, Any]
    reason: str
    alone: Bools
    new: Bools
    active: bool
    changes: bool = False


def suggest(
    table: pandas.DataFrame, statistics: pandas.DataFrame, *, leaked: Bools, leaked_path: str, markup: bool
) -> list[Rule]:
    """The rules for a corpus, in the order in which they run.

    Args:
        table: The corpus; a rule for alignment needs its cosines.
        statistics: Of its captions and pictures, row by row (`recap.data.explore.rules`).
        leaked: Rows whose picture a benchmark shows, shape (rows,).
        leaked_path: The list of such pictures, for the operator that drops them.
        markup: Whether captions hold URLs or HTML, so that cleaning them is worth a look.
    """
    rules: list[Rule] = []
    left = numpy.ones(len(table), dtype=bool)
    for operator, arguments, reason in _filters(statistics):
        alone = dropped_by(operator, arguments, statistics)
        left = _add(rules, Rule(operator, arguments, reason, alone, alone & left, _is_cleaning(alone)), left)
    if leaked.any():
        arguments = {"leaked_path": leaked_path}
        reason = "the picture is in a benchmark"
        left = _add(rules, Rule("leaked_image_filter", arguments, reason, leaked, leaked & left, True), left)
    if (least := least_alignment(table)) is not None:
        arguments = {"min_score": least}
        reason = "fits its picture no better than captions of other pictures do"
        alone = badly_aligned(table, least)
        left = _add(rules, Rule("alignment_filter", arguments, reason, alone, alone & left, _is_cleaning(alone)), left)
    hashes = caption_hashes(table["caption"], DEDUPLICATION)
    alone = hashes.duplicated().to_numpy()
    new = numpy.zeros(len(table), dtype=bool)
    new[left] = hashes[left].duplicated()
    reason = "an earlier row has the caption, letter by letter"
    left = _add(
        rules, Rule("document_deduplicator", dict(DEDUPLICATION), reason, alone, new, _is_cleaning(alone)), left
    )
    return [*rules, *(_mappers(table["caption"], left) if markup else [])]


def _add(rules: list[Rule], rule: Rule, left: Bools) -> Bools:
    """Append a rule; return the rows that it leaves. One that drops nothing is left out, unless it is the first."""
    if rules and not rule.alone.any():
        return left
    rules.append(rule)
    return left & ~rule.new if rule.active else left


def _is_cleaning(dropped: Bools) -> bool:
    return not len(dropped) or bool(dropped.mean() <= MAX_SHARE)


def _filters(statistics: pandas.DataFrame) -> list[tuple[str, dict[str, Any], str]]:
    return [
        ("words_num_filter", {"min_num": MIN_WORDS}, "too short to say what the picture shows"),
        (
            "text_length_filter",
            {"min_len": 1, "max_len": upper_fence(statistics["text_len"])},
            "far longer than others",
        ),
        *repetition_filters(),
        ("special_characters_filter", {"max_ratio": MAX_SPECIAL_CHARACTERS}, "more signs and digits than letters"),
        (
            "image_shape_filter",
            {"min_width": SMALL_BELOW_PX, "min_height": SMALL_BELOW_PX},
            "would be scaled up for the vision towers",
        ),
        (
            "image_aspect_ratio_filter",
            {"min_ratio": round(1 / MAX_ASPECT_RATIO, 3), "max_ratio": MAX_ASPECT_RATIO},
            "a strip: little is left of it in a square",
        ),
    ]


def repetition_filters() -> list[tuple[str, dict[str, Any], str]]:
    return [
        (f"{unit}_repetition_filter", {"rep_len": REPETITION_LENGTH, "max_ratio": ratio}, f"repeats its {unit}s")
        for unit, ratio in (("word", MAX_WORD_REPETITION), ("character", MAX_CHARACTER_REPETITION))
    ]


def upper_fence(values: pandas.Series) -> int:
    """Above it a value is far out: Tukey's third quartile and three times the quartiles' distance.

    It is never below three medians, so that a corpus of equal lengths does not call every other one far out.
    """
    if values.empty:
        return 1
    first, median, third = values.quantile([0.25, 0.5, 0.75])
    return int(numpy.ceil(max(third + 3 * (third - first), 3 * median, 1)))


def _mappers(captions: pandas.Series, left: Bools) -> list[Rule]:
    """Cleaning of markup, and a last rule for captions of which too little remains."""
    rules: list[Rule] = []
    cleaned = captions
    for operator, arguments, reason in MAPPERS:
        before, cleaned = cleaned, mapped(operator, arguments, cleaned)
        changed = (before != cleaned).to_numpy()
        if changed.any():
            rules.append(Rule(operator, arguments, f"takes {reason} out", changed, changed & left, True, changes=True))
    operator, arguments = "maximum_line_length_filter", {"min_len": MIN_CHARACTERS}
    short = dropped_by(operator, arguments, text_statistics(list(cleaned), {operator: {}}))
    if (short & left & (captions != cleaned).to_numpy()).any():
        # It judges captions without markup too.
        reason = "too little is left of it"
        rules.append(Rule(operator, arguments, reason, short, short & left, _is_cleaning(short)))
    return rules


def kept(rules: list[Rule], rows: int) -> int:
    """How many of `rows` rows the active rules leave."""
    return rows - sum(int(rule.new.sum()) for rule in rules if rule.active and not rule.changes)


def recipe_text(rules: list[Rule], rows: int) -> str:
    """The recipe as YAML, every rule with its share as a comment; rules that are not switched on are commented out."""
    remaining = kept(rules, rows)
    lines = [
        f"# Suggested by `explore` for this corpus of {rows:,} rows; keeps {remaining:,} ({_share(remaining, rows)}).",
        '# A share is what a rule drops from the whole corpus; "new" is what no rule above drops already.',
        f"# A rule that would drop more than {100 * MAX_SHARE:.0f} % is commented out: such a loss is yours to decide.",
        "project_name: suggested",
        "process:" if any(rule.active for rule in rules) else "process: []",
    ]
    for rule in rules:
        lines += [line if rule.active else f"#{line}" for line in _rule_lines(rule, rows)]
    return "\n".join(lines) + "\n"


def _rule_lines(rule: Rule, rows: int) -> list[str]:
    verb = "changes" if rule.changes else "drops"
    count, new = int(rule.alone.sum()), int(rule.new.sum())
    comment = f"# {verb} {_share(count, rows)} ({count:,} rows, {new:,} new): {rule.reason}"
    return [f"  {comment}", f"  - {rule.operator}:", *_argument_lines(rule.arguments)]


def _argument_lines(arguments: Mapping[str, Any]) -> list[str]:
    return [f"      {name}: {_yaml(value)}" for name, value in arguments.items()]


def _yaml(value: object) -> str:
    """A number, a truth value or a text as YAML has it."""
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'" if isinstance(value, str) else str(value).lower()


def _share(count: int, rows: int) -> str:
    return f"{100 * count / rows:.1f} %" if rows else "0 %"

"""The report of `explore` as Markdown: what is wrong, how much of it, what to do, and the numbers behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

from recap.data.explore.diagnosis import Finding
from recap.data.explore.exploration import Exploration
from recap.data.explore.sizes import LARGE_ABOVE_PX, SMALL_BELOW_PX
from recap.data.statistics.text import MIN_WORDS
from recap.runtime.display import code_span, in_markdown, in_table

LABELS = {
    "words_mean": "words in a caption, mean",
    "words_sd": "words in a caption, sd",
    "characters_mean": "characters in a caption, mean",
    "characters_sd": "characters in a caption, sd",
    "too_short_percent": f"fewer than {MIN_WORDS} words, %",
    "repetitive_percent": "a run of up to four words at once followed by itself, %",
    "word_repetition_percent": "words that stood in their caption before, mean %",
    "duplicate_caption_percent": "an earlier row has the caption, but for case and blanks, %",
    "near_duplicate_caption_percent": "an earlier row's caption differs little or not at all, %",
    "word_repetition_dropped_percent": "the recipe's `word_repetition_filter` drops, %",
    "character_repetition_dropped_percent": "the recipe's `character_repetition_filter` drops, %",
    "boilerplate_percent": "with boilerplate of any kind, %",
    "images": "pictures",
    "width_mean_px": "width, mean, pixels",
    "height_mean_px": "height, mean, pixels",
    "small_percent": f"small: a side below {SMALL_BELOW_PX} pixels, %",
    "medium_percent": "medium: neither small nor large, %",
    "large_percent": f"large: not small, and a side above {LARGE_ABOVE_PX} pixels, %",
    "duplicate_image_rows": "rows with an earlier row's picture, as the same file",
    "near_duplicate_image_rows": "rows with an earlier row's picture, as the same file or look",
    "brightness_mean": "brightness, mean: 0 black, 255 white",
    "brightness_sd": "brightness, sd",
}
"""What the numbers of details mean."""

LONGEST_LIST = 15
LONGEST_EXAMPLE = 120
"""Characters; a web page in a caption would fill the report."""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; the first column and those of texts are left-aligned, the others right-aligned."""
    texts = [index == 0 or not all(_is_number(row[index]) for row in rows) for index in range(len(header))]
    lines = [header, [":---" if is_text else "---:" for is_text in texts], *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) or value.replace(",", "").replace(".", "").isdigit()


def _cell(value: Any) -> str:
    match value:
        case None:
            return "n/a"
        case float():
            return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
    return in_table(str(value))


def share_table(name: str, shares: Mapping[str, float]) -> str:
    """A table of percentages by value."""
    return table([name, "%"], [(in_markdown(value), share) for value, share in shares.items()])


def summary(found: Exploration) -> str:
    """The diagnosis in a few lines, for a terminal."""
    lines = [f"  {finding.percent:5.1f} %  {finding.title}: {finding.advice}" for finding in found.findings]
    return "\n".join([_lead(found), *lines])


def exploration_report(found: Exploration, *, recipe: str, plots: str) -> str:
    """The report.

    Args:
        found: What was found.
        recipe: The suggested recipe, as YAML.
        plots: Path of the folder with the charts, relative to the report.
    """
    facts = found.facts
    return (
        "\n\n".join(
            [
                "# The corpus as it comes",
                _lead(found),
                *_diagnosis(found.findings, facts),
                "## What to do\n\nThis recipe follows from the numbers above. `process` takes it as it is: copy it to "
                "`recipes/suggested.yaml`, change what you know better, and run `dvc exp run -S recipe=suggested`.\n\n"
                f"```yaml\n{recipe}```",
                *_captions(facts, plots),
                *_alignment(facts["alignment"], plots),
                *_pictures(facts, plots),
                *_rows(facts),
            ]
        )
        + "\n"
    )


def _lead(found: Exploration) -> str:
    facts = found.facts
    rows, kept = facts["rows"], facts["suggested_recipe"]["rows_kept"]
    read = f"{rows:,} rows can be used" + (
        f", {facts['rejected_rows']:,} more were rejected" if facts["rejected_rows"] else ""
    )
    if not found.findings:
        return f"{read}. Nothing of what is looked for was found in them."
    worst = found.findings[0]
    return (
        f"{read}. What is wrong most often: {worst.title} ({worst.percent:.1f} %). "
        f"The recipe below keeps {kept:,} rows ({100 * kept / rows if rows else 0:.1f} %)."
    )


def _diagnosis(findings: Sequence[Finding], facts: Mapping[str, Any]) -> list[str]:
    if not findings:
        return []
    lines = [[finding.title, f"{finding.rows:,}", f"{finding.percent:.1f}", finding.advice] for finding in findings]
    leaks = ", ".join(f"{count:,} of {name}" for name, count in facts["leaked"].items())
    return [
        "## What is wrong\n\n" + table(["what", "rows", "%", "what to do"], lines),
        *(
            [f"Pictures of the corpus that benchmarks show: {leaks}. `data/explore/leaked.jsonl` has each."]
            if leaks
            else []
        ),
        *(_examples(finding) for finding in findings if finding.examples),
    ]


def _examples(finding: Finding) -> str:
    name = finding.title[0].upper() + finding.title[1:]
    return f"{name}, for example:\n\n" + "\n".join(f"- {quoted(example)}" for example in finding.examples)


def quoted(text: str) -> str:
    """A text of others as code, in which no letter is markup, on one line that fits a page."""
    line = " ".join(text.split()) or "(blank)"
    return code_span(line if len(line) <= LONGEST_EXAMPLE else line[: LONGEST_EXAMPLE - 1] + "…")


def _captions(facts: Mapping[str, Any], plots: str) -> list[str]:
    text, vocabulary = facts["text"], facts["vocabulary"]
    written = "language" if "languages" in text else "script"
    return [
        "## Captions\n\nA word is what Data-Juicer's `words_num_filter` counts; sd is the sample's.\n\n"
        + table(["statistic", "value"], _numbers(text)),
        f"![words in a caption]({plots}/words.png)\n\n![characters in a caption]({plots}/characters.png)",
        table(
            ["quantile", "words", "characters"],
            [
                [name, text["words_quantiles"][name], text["characters_quantiles"][name]]
                for name in text["words_quantiles"]
            ],
        ),
        share_table("boilerplate", text["boilerplate"]),
        share_table(written, text[f"{written}s"]),
        f"### Words\n\n{vocabulary['tokens']:,} words, {vocabulary['words']:,} different ones. A line that still rises "
        f"at its end says that more captions would bring more words.\n\n![growth]({plots}/vocabulary.png)\n\n"
        f"![frequent words]({plots}/word_frequency.png)",
        table(
            ["pair of words", "times"],
            [(quoted(pair), times) for pair, times in list(vocabulary["frequent_bigrams"].items())[:LONGEST_LIST]],
        ),
        f"### Diversity\n\nOn {facts['sample_rows']} captions and {facts['sample_tokens']} tokens. `ttr`, `maas`, "
        "`distinct_n`, `self_bleu` and `compression_ratio` depend on the size of the sample: compare them only "
        "with figures from samples of the same size.\n\n" + table(["index", "value"], list(facts["diversity"].items())),
    ]


def _alignment(facts: Mapping[str, Any] | None, plots: str) -> list[str]:
    title = "## How well captions fit their pictures\n\n"
    if facts is None:
        return [f"{title}Not known: no model scored them (`models.aligner` of params.yaml)."]
    mismatched = facts["mismatched_percent"]
    estimate = (
        "Too few captions were held against other pictures to say how many are about another one."
        if mismatched is None
        else f"About {mismatched:.1f} % of the captions seem to be about another picture: twice the share of those "
        f"below the median by chance. {facts['below_least_percent']:.1f} % are below {facts['least']:g}, which three "
        "of four captions of other pictures do not reach."
    )
    worst = [[quoted(row["image"]), quoted(row["caption"]), row["alignment"]] for row in facts["worst"]]
    return [
        f"{title}The cosine of a caption and its picture by the model of `models.aligner`, from -1 to 1, for "
        f"{facts['scored_rows']:,} rows; and, by chance, of a caption and another row's picture. Only cosines of one "
        f"model compare. {estimate}\n\n![alignment]({plots}/alignment.png)",
        table(
            ["quantile", "captions", "by chance"],
            [[name, value, facts["chance_quantiles"][name]] for name, value in facts["quantiles"].items()],
        ),
        "The worst:\n\n" + table(["picture", "caption", "cosine"], worst),
    ]


def _pictures(facts: Mapping[str, Any], plots: str) -> list[str]:
    images = facts["images"]
    return [
        "## Pictures\n\n" + table(["statistic", "value"], _numbers(images)),
        f"![sizes]({plots}/image_sizes.png)\n\n![sides]({plots}/aspect_ratios.png)\n\n"
        f"![brightness]({plots}/brightness.png)\n\n![copies]({plots}/duplicates.png)",
        share_table("format", images["formats"]),
        share_table("mode", images["modes"]),
        table(["quantile", "width / height"], list(images["aspect_ratio_quantiles"].items())),
    ]


def _rows(facts: Mapping[str, Any]) -> list[str]:
    rejected = list(facts["rejected"].items()) or [("none", 0)]
    return [
        "## Rows that were read\n\n" + share_table("sound field", facts["complete_percent"]),
        table(["rejected for", "rows"], rejected),
    ]


def _numbers(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(LABELS[name], value) for name, value in values.items() if not isinstance(value, Mapping)]

"""Markdown for the exploration report: tables of numbers that a person reads."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [header, [":---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "n/a"
        case float():
            return f"{value:.4f}" if abs(value) < 1 else f"{value:.2f}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def share_table(name: str, shares: Mapping[str, float]) -> str:
    """A table of percentages by value."""
    return table([name, "%"], list(shares.items()))


def exploration_report(
    facts: Mapping[str, Any], *, examples: Mapping[str, Sequence[str]], broken: Mapping[str, str], plots: str
) -> str:
    """The report of `explore`.

    Args:
        facts: Of `exploration.describe_corpus`, and `complete_percent`.
        examples: Captions to show, by what is wrong with them.
        broken: What is wrong with each unreadable image, by path.
        plots: Path of the folder with the charts, relative to the report.
    """
    text, images, diversity = facts["text"], facts["images"], facts["diversity"]
    rejected = list(facts["rejected"].items()) or [("none", 0)]
    sections = [
        "# The corpus as it comes",
        f"{facts['rows']} rows; {facts['rejected_rows']} more were rejected by `prepare`.",
        "## Fields\n\n" + share_table("field present", facts["complete_percent"]),
        "## Rejected rows\n\n" + table(["reason", "rows"], rejected),
        "## Captions\n\n" + table(["statistic", "value"], list(text.items())),
        f"![words in a caption]({plots}/words.png)\n\n![characters in a caption]({plots}/characters.png)",
        *(_examples(name, captions) for name, captions in examples.items() if captions),
        f"## Diversity\n\nOn {facts['sample_rows']} captions and {facts['sample_tokens']} tokens. `ttr`, `maas`, "
        "`distinct_n`, `self_bleu` and `compression_ratio` depend on the size of the sample: compare them only "
        "with figures from samples of the same size.\n\n" + table(["index", "value"], list(diversity.items())),
        "## Images\n\n"
        + table(["statistic", "value"], [item for item in images.items() if not isinstance(item[1], Mapping)]),
        share_table("format", images["formats"]),
        share_table("mode", images["modes"]),
        *([table(["unreadable image", "reason"], list(broken.items()))] if broken else []),
        f"![image sizes]({plots}/image_sizes.png)",
    ]
    return "\n\n".join(sections) + "\n"


def _examples(name: str, captions: Sequence[str]) -> str:
    return f"{name}, for example:\n\n" + "\n".join(f"- `{caption.replace('`', chr(39))}`" for caption in captions)

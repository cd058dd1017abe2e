"""Everything that `explore` says about a corpus, in one nested dict of numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from recap.data.corpus.images import BadImage
from recap.data.corpus.records import Record, caption_of
from recap.data.statistics.diversity import describe_diversity
from recap.data.statistics.images import ImageFacts, describe_images
from recap.data.statistics.sampling import equal_samples
from recap.data.statistics.text import MIN_WORDS, describe_captions, is_repetitive, percent, tokens
from recap.params import QualityParams

EXAMPLES = 5


def completeness(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Percentage (0-100) of rows in which each field is present and not empty, and in which all are."""
    present = [
        {
            "id": bool(row.get("id")),
            "text": bool(caption_of(row.get("text") or "")),
            "images": bool(row.get("images")),
        }
        for row in rows
    ]
    fields = {name: percent(sum(row[name] for row in present), len(rows)) for name in ("id", "text", "images")}
    return {**fields, "all": percent(sum(all(row.values()) for row in present), len(rows))}


def describe_corpus(
    records: Sequence[Record],
    facts: dict[str, ImageFacts],
    broken: Mapping[str, BadImage],
    rejected: Sequence[Mapping[str, Any]],
    *,
    quality: QualityParams,
) -> dict[str, Any]:
    """Summarise a corpus.

    Args:
        records: Its rows.
        facts: Its readable images, by path.
        broken: Its unreadable ones, by path.
        rejected: What `prepare` left out: rows with a `reason`.
        quality: Sizes and seed of the diversity sample.
    """
    captions = [record.caption for record in records]
    (sample,) = equal_samples([records], rows=quality.sample_rows, tokens=quality.sample_tokens, seed=quality.seed)
    return {
        "rows": len(records),
        "rejected_rows": len(rejected),
        "rejected": dict(sorted(Counter(row["reason"] for row in rejected).items())),
        "text": describe_captions(captions),
        "sample_rows": len(sample.captions),
        "sample_tokens": sample.num_tokens,
        "diversity": describe_diversity(
            sample,
            mattr_window=quality.mattr_window,
            hdd_sample=quality.hdd_sample,
            self_bleu_sample=quality.self_bleu_sample,
        ),
        "images": describe_images([record.image for record in records], facts, len(broken)),
    }


def example_captions(captions: Sequence[str]) -> dict[str, list[str]]:
    """The first few different captions with each defect, for the report."""
    different = list(dict.fromkeys(captions))
    return {
        f"Too short (fewer than {MIN_WORDS} words)": [
            caption for caption in different if len(tokens(caption)) < MIN_WORDS
        ][:EXAMPLES],
        "Repetitive": [caption for caption in different if is_repetitive(tokens(caption))][:EXAMPLES],
    }

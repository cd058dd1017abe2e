"""Everything that `explore` says about a corpus: numbers, findings, a recipe, and what its charts show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import pandas

from recap.data.explore.alignment import ALIGNMENT, CHANCE, describe_alignment
from recap.data.explore.boilerplate import PATTERNS, boilerplate
from recap.data.explore.completeness import completeness
from recap.data.explore.diagnosis import Finding, defects_of, diagnose
from recap.data.explore.duplicates import copies, picture_groups, repeats
from recap.data.explore.languages import languages
from recap.data.explore.recipe import DEDUPLICATION, Rule, kept, repetition_filters, suggest
from recap.data.explore.rules import (
    Bools,
    caption_hashes,
    dropped_by,
    image_statistics,
    text_statistics,
)
from recap.data.explore.sizes import describe_images, shares
from recap.data.explore.table import distinct_pictures, records_of
from recap.data.explore.vocabulary import Text, frequent_bigrams, frequent_words, read_text, vocabulary_growth
from recap.data.statistics.diversity import describe_diversity
from recap.data.statistics.duplicates import nearly_the_same
from recap.data.statistics.quantiles import quantiles
from recap.data.statistics.sampling import equal_samples, shuffled_captions
from recap.data.statistics.text import Floats, describe_captions, mean_and_sd, percent
from recap.params import QualityParams

QUANTILES = ("p1", "p25", "median", "p75", "p99", "max")
FREQUENT = 30


@dataclass(frozen=True)
class Exploration:
    """What was found.

    Attributes:
        facts: Numbers, nested.
        findings: What is wrong, the most frequent first.
        rules: The suggested recipe.
        words, characters: Per caption, shape (rows,).
        frequent: The most frequent words with their counts.
        growth: (tokens read, different ones among them).
        captions_by_copies, pictures_by_copies: How many different ones there are, by how many rows have them.
        pictures: The pictures of the corpus, each once.
        cosines: Those of "captions" with their pictures, and "by_chance" of captions with other rows' pictures, NaN
            where there is none; both empty without an aligner.
    """

    facts: dict[str, Any]
    findings: list[Finding]
    rules: list[Rule]
    words: pandas.Series
    characters: pandas.Series
    frequent: dict[str, int]
    growth: list[tuple[int, int]]
    captions_by_copies: pandas.Series
    pictures_by_copies: pandas.Series
    pictures: pandas.DataFrame
    cosines: dict[str, Floats]


def explore_corpus(
    table: pandas.DataFrame,
    rejected: Sequence[Mapping[str, Any]],
    leaks: pandas.DataFrame,
    *,
    leaked_path: str,
    quality: QualityParams,
) -> Exploration:
    """Look at a corpus.

    Args:
        table: Its rows (`recap.data.explore.table`), with the columns of `recap.data.explore.alignment` if known.
        rejected: What `prepare` left out: rows with `reason` and `detail`.
        leaks: Pictures that a benchmark shows too (`recap.data.explore.leaks`).
        leaked_path: Where the list of them is written.
        quality: Sizes and seed of the diversity sample.
    """
    captions = table["caption"]
    of_text = text_statistics(captions.tolist())
    statistics = pandas.concat([of_text, image_statistics(table)], axis=1)
    kinds = boilerplate(captions)
    writing_by, writing = languages(captions.tolist())
    pictures = distinct_pictures(table)
    files, looks = _keys_by_row(table, pictures)
    leaked = table["image"].isin(leaks["image"]).to_numpy()
    markup = any("html" in found or "url" in found for found in kinds)
    hashes = caption_hashes(captions, DEDUPLICATION)
    nearly = nearly_the_same(captions)
    rules = suggest(table, statistics, leaked=leaked, leaked_path=leaked_path, markup=markup)
    defects = defects_of(
        table, rules, kinds=kinds, writing=pandas.Series(writing, dtype=object),
        nearly=nearly & ~hashes.duplicated().to_numpy(),
        same_file=files.duplicated().to_numpy(), alike=looks.duplicated().to_numpy(),
    )  # fmt: skip
    text = read_text(shuffled_captions(records_of(table), quality.seed))
    vocabulary = _vocabulary_facts(text)
    aligned = describe_alignment(table)
    findings = diagnose(table, defects, rejected)
    facts = {
        **_row_facts(table, rejected),
        "text": _text_facts(captions, of_text, nearly, kinds) | {f"{writing_by}s": shares(writing)},
        "vocabulary": vocabulary,
        **_diversity_facts(table, quality),
        "images": _image_facts(pictures, files, looks),
        "alignment": aligned,
        **_leak_facts(leaks),
        "findings": {finding.name: finding.to_facts() for finding in findings},
        "suggested_recipe": {"rows_kept": kept(rules, len(table)), "operators": _rule_facts(rules)},
    }
    return Exploration(
        facts=facts,
        findings=findings,
        rules=rules,
        words=of_text["num_words"],
        characters=of_text["text_len"],
        frequent=vocabulary["frequent_words"],
        growth=vocabulary_growth(text),
        captions_by_copies=copies(hashes),
        pictures_by_copies=copies(looks),
        pictures=pictures,
        cosines={
            name: table[column].to_numpy() if aligned else numpy.zeros(0)
            for name, column in (("captions", ALIGNMENT), ("by_chance", CHANCE))
        },
    )


def _row_facts(table: pandas.DataFrame, rejected: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "rows": len(table),
        "rejected_rows": len(rejected),
        "rejected": dict(sorted(Counter(row["reason"] for row in rejected).items())),
        "complete_percent": completeness(table, rejected),
    }


def _text_facts(
    captions: pandas.Series, of_text: pandas.DataFrame, nearly: Bools, kinds: list[list[str]]
) -> dict[str, Any]:
    count = len(captions)
    repeated = {
        f"{operator.removesuffix('_filter')}_dropped_percent": percent(
            int(dropped_by(operator, arguments, of_text).sum()), count
        )
        for operator, arguments, _ in repetition_filters()
    }
    return {
        **describe_captions(captions.tolist()),
        "words_quantiles": quantiles(of_text["num_words"], QUANTILES),
        "characters_quantiles": quantiles(of_text["text_len"], QUANTILES),
        **repeated,
        "near_duplicate_caption_percent": percent(int(nearly.sum()), count),
        "boilerplate_percent": percent(sum(map(bool, kinds)), count),
        "boilerplate": {name: percent(sum(name in found for found in kinds), count) for name in PATTERNS},
    }


def _vocabulary_facts(text: Text) -> dict[str, Any]:
    return {
        "tokens": len(text.numbers),
        "words": len(text.vocabulary),
        "frequent_words": frequent_words(text, FREQUENT),
        "frequent_bigrams": frequent_bigrams(text, FREQUENT),
    }


def _diversity_facts(table: pandas.DataFrame, quality: QualityParams) -> dict[str, Any]:
    (sample,) = equal_samples(
        [records_of(table)], rows=quality.sample_rows, tokens=quality.sample_tokens, seed=quality.seed
    )
    return {
        "sample_rows": len(sample.captions),
        "sample_tokens": sample.num_tokens,
        "diversity": describe_diversity(
            sample,
            mattr_window=quality.mattr_window,
            hdd_sample=quality.hdd_sample,
            self_bleu_sample=quality.self_bleu_sample,
        ),
    }


def _image_facts(pictures: pandas.DataFrame, files: pandas.Series, looks: pandas.Series) -> dict[str, Any]:
    ratios = pictures["width"] / pictures["height"]
    brightness_mean, brightness_sd = mean_and_sd(pictures["brightness"].tolist())
    return {
        **describe_images(pictures),
        "duplicate_image_rows": repeats(files),
        "near_duplicate_image_rows": repeats(looks),
        "aspect_ratio_quantiles": quantiles(ratios, QUANTILES),
        "brightness_mean": brightness_mean,
        "brightness_sd": brightness_sd,
    }


def _leak_facts(leaks: pandas.DataFrame) -> dict[str, Any]:
    by_benchmark = leaks["benchmark"].value_counts().sort_index()
    return {
        "leaked_images": leaks["image"].nunique(),
        "leaked": {str(name): int(count) for name, count in by_benchmark.items()},
    }


def _rule_facts(rules: Sequence[Rule]) -> dict[str, Any]:
    return {
        f"{number:02d}_{rule.operator}": {
            "active": rule.active,
            "rows": int(rule.alone.sum()),
            "new_rows": int(rule.new.sum()),
        }
        for number, rule in enumerate(rules, start=1)
    }


def _keys_by_row(table: pandas.DataFrame, pictures: pandas.DataFrame) -> tuple[pandas.Series, pandas.Series]:
    """What a row's picture is, as a file and by its look: equal for equal ones."""
    looks = picture_groups(pictures)
    by_name = pandas.DataFrame({"file": pictures["digest"], "look": looks}).set_index(pictures["image"])
    return table["image"].map(by_name["file"]), table["image"].map(by_name["look"])

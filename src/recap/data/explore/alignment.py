"""How well the corpus's captions fit their pictures, by the cosines of `align@raw`.

A cosine says nothing alone: models differ in what they give to strangers. It is held against the cosines of captions
with pictures of other rows, which `align@raw` draws.
"""

from pathlib import Path
from typing import Any

import numpy
import pandas

from recap.data.explore.rules import Bools
from recap.data.statistics.quantiles import quantiles
from recap.data.statistics.text import percent
from recap.io import read_jsonl
from recap.runtime.errors import UserError

ALIGNMENT, CHANCE = "alignment", "chance"

QUANTILES = ("p1", "p5", "p25", "median", "p75", "p95", "p99")

STRANGER = 0.75
"""Quantile of the cosines of strangers up to which a caption is taken for one: three of four of them are found. In the
street world 0.9 finds 95 % of them, and takes 18 % of the captions that fit as well."""

WORST = 10

FEWEST = 20
"""Cosines of strangers, below which a quantile of them is nothing to judge by."""


def with_alignment(table: pandas.DataFrame, path: Path) -> pandas.DataFrame:
    """The corpus with two more columns, `alignment` and `chance`: cosines, NaN where there is none.

    Args:
        table: The corpus.
        path: data/raw_captions.jsonl, a row for each of the corpus's.

    Raises:
        UserError: Its rows are not the corpus's.
    """
    rows = list(read_jsonl(path))
    if [row["id"] for row in rows] != table["id"].tolist():
        raise UserError(
            f"{path}: expected the {len(table)} rows of the corpus, found {len(rows)} others; run align@raw"
        )
    return table.assign(
        **{name: numpy.array([row.get(name) for row in rows], dtype=float) for name in (ALIGNMENT, CHANCE)}
    )


def least_alignment(table: pandas.DataFrame) -> float | None:
    """The cosine below which a caption fits its picture no better than strangers do; None where nobody knows."""
    if CHANCE not in table or len(strangers := table[CHANCE].dropna()) < FEWEST:
        return None
    return round(float(strangers.quantile(STRANGER)), 3)


def badly_aligned(table: pandas.DataFrame, least: float | None) -> Bools:
    """Rows that do not reach it, shape (rows,), as `alignment_filter` sees them: a row without a cosine does not."""
    if least is None:
        return numpy.zeros(len(table), dtype=bool)
    return ~(table[ALIGNMENT] >= least).to_numpy()


def describe_alignment(table: pandas.DataFrame) -> dict[str, Any] | None:
    """Quantiles of the captions' cosines and of strangers', and the share of rows whose caption is a stranger's.

    That share is twice that of the rows below the strangers' median (Storey 2002, with lambda = 1/2): half of the
    strangers are below it, and of captions that fit hardly any.

    Returns:
        None where no caption has a cosine.
    """
    if ALIGNMENT not in table or not (scored := table[ALIGNMENT].dropna()).size:
        return None
    strangers = table[CHANCE].dropna()
    least = least_alignment(table)
    below = int((scored < strangers.median()).sum())
    return {
        "scored_rows": len(scored),
        "mean": float(scored.mean()),
        "quantiles": quantiles(scored, QUANTILES),
        "chance_quantiles": quantiles(strangers, QUANTILES),
        "mismatched_percent": None if least is None else min(100.0, 2 * (percent(below, len(scored)) or 0.0)),
        "least": least,
        "below_least_percent": percent(int(badly_aligned(table, least).sum()), len(table)),
        "worst": [
            {"id": row.id, "image": row.image, "caption": row.caption, "alignment": row.alignment}
            for row in table.nsmallest(WORST, ALIGNMENT).itertuples()
        ],
    }

"""What an alignment stage tells of its scores, in numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy

from recap.alignment.choosing import usable
from recap.alignment.scoring import Scores
from recap.runtime.faults import by_reason

QUANTILES = {
    "min": 0.0,
    "p01": 0.01,
    "p05": 0.05,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
    "max": 1.0,
}


def describe_scores(scores: Scores) -> dict[str, Any]:
    """Counts of pairs, and why some have no score."""
    return {
        "pairs": scores.num_pairs,
        "cut_texts": scores.num_cut,
        "images_without_score": len(scores.faults),
        "reasons": by_reason(scores.faults.values()),
    }


def describe_alignment(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean and quantiles of cosines, None where there is none."""
    known = numpy.array([value for value in values if value is not None])
    quantiles = {name: float(numpy.quantile(known, share)) if len(known) else None for name, share in QUANTILES.items()}
    return {"scored": len(known), "mean": float(known.mean()) if len(known) else None, **quantiles}


def describe_choices(captions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many images had a choice, and for how many it fell on another candidate than the first that is no junk."""
    able = [usable(row) for row in captions]
    changed = sum(row["caption"] != own[0]["caption"] for row, own in zip(captions, able, strict=True))
    return {"images": len(captions), "with_several_candidates": sum(len(own) > 1 for own in able), "changed": changed}

"""In how many of the rows that were read each field can be used, by the reasons why `prepare` rejected the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from recap.data.statistics.text import percent

LACKING = {
    "id": {"missing_id", "duplicate_id"},
    "text": {"missing_text", "empty_caption", "several_captions", "broken_text", "broken_conversation"},
    "images": {
        "no_image", "several_images", "missing_image", "base64_image", "broken_image", "image_too_large",
        "image_too_thin", "path_leaves_root",
    },
}  # fmt: skip
"""Why `prepare` rejects a row (docs/DATA.md), by the field that is not sound."""

UNREADABLE_ROW = {"broken_json", "not_an_object", "broken_row", "broken_file"}
"""The same, where no field could be read."""


def completeness(table: pandas.DataFrame, rejected: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Percentage (0-100) of the rows that `prepare` read in which each field is sound, and in which all are."""
    rows = len(table) + len(rejected)
    reasons = Counter(row["reason"] for row in rejected)
    lacking = {field: sum(reasons[reason] for reason in why | UNREADABLE_ROW) for field, why in LACKING.items()}
    fields = {field: percent(rows - count, rows) for field, count in lacking.items()}
    return {**fields, "all": percent(len(table), rows)}

"""What became of the images of a corpus in numbers; `quality` measures the captions themselves."""

from collections.abc import Sequence
from typing import Any

from recap.captioning.captions import Caption
from recap.runtime.faults import Fault, by_reason

REASONS = ("missing_image", "broken_image", "image_too_large", "path_leaves_root", "empty_caption")


def summarize(outcomes: Sequence[Caption | Fault]) -> dict[str, Any]:
    """Counts and variety.

    Args:
        outcomes: One per unique image; at least one.

    Returns:
        Percentages are 0-100. `unique_percent` is distinct captions per caption; `truncated_percent` the captions that
        the token limit ended. Without any caption these two are None.
    """
    captions = [outcome for outcome in outcomes if isinstance(outcome, Caption)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Fault)]
    count = len(captions)
    return {
        "num_images": len(outcomes),
        "num_captioned": count,
        "num_failed": len(failures),
        "failed_percent": 100 * len(failures) / len(outcomes),
        "failed_by_reason": dict.fromkeys(REASONS, 0) | by_reason(failures),
        "unique_percent": 100 * len({caption.caption for caption in captions}) / count if count else None,
        "truncated_percent": 100 * sum(caption.truncated for caption in captions) / count if count else None,
    }

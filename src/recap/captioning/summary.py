"""What the captions of a corpus look like in numbers."""

from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import Any

from recap.captioning.captions import Caption
from recap.runtime.faults import Fault, by_reason

REASONS = ("missing_image", "broken_image", "image_too_large", "path_leaves_root", "empty_caption")


def summarize(outcomes: Sequence[Caption | Fault]) -> dict[str, Any]:
    """Counts, lengths and variety.

    Args:
        outcomes: One per unique image; at least one.

    Returns:
        Percentages are 0-100. `words_mean` and `words_sd` (of the population) count words between blanks.
        `unique_percent` is distinct captions per caption; `truncated_percent` the captions that the token limit
        ended. Without any caption these four are None.
    """
    captions = [outcome for outcome in outcomes if isinstance(outcome, Caption)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Fault)]
    reasons = dict.fromkeys(REASONS, 0) | by_reason(failures)
    words = [len(caption.caption.split()) for caption in captions]
    count = len(captions)
    return {
        "num_images": len(outcomes),
        "num_captioned": count,
        "num_failed": len(failures),
        "failed_percent": 100 * len(failures) / len(outcomes),
        "failed_by_reason": reasons,
        "words_mean": fmean(words) if words else None,
        "words_sd": pstdev(words) if words else None,
        "unique_percent": 100 * len({caption.caption for caption in captions}) / count if count else None,
        "truncated_percent": 100 * sum(caption.truncated for caption in captions) / count if count else None,
    }

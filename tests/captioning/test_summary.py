from recap.captioning.captions import Caption
from recap.captioning.summary import summarize
from recap.runtime.faults import Fault


def test_counts_and_variety() -> None:
    outcomes = [
        Caption("a.jpg", "a red bus", False),
        Caption("b.jpg", "a red bus", False),
        Fault("c.jpg", None, "broken_image", "truncated"),
        Caption("d.jpg", "a small dog on the left of a", True),
        Caption("e.jpg", "two cats", False),
    ]
    assert summarize(outcomes) == {
        "num_images": 5,
        "num_captioned": 4,
        "num_failed": 1,
        "failed_percent": 20.0,
        "failed_by_reason": {
            "missing_image": 0,
            "broken_image": 1,
            "image_too_large": 0,
            "path_leaves_root": 0,
            "empty_caption": 0,
        },
        "unique_percent": 75.0,
        "truncated_percent": 25.0,
    }


def test_without_captions_there_is_no_share() -> None:
    summary = summarize([Fault("a.jpg", None, "missing_image", "")])
    assert summary["failed_percent"] == 100.0
    assert summary["unique_percent"] is summary["truncated_percent"] is None

"""The loop over what the store lacks, with a captioner that counts: its caption names the mean grey and the seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from recap.captioning.batching import BatchSize
from recap.captioning.candidates import Candidate
from recap.captioning.captions import Work, caption_missing
from recap.captioning.outcomes import KIND, Allowance, Captioned, Outcome, Tally, outcomes
from recap.captioning.pictures import digests_of, names_by_digest, unique_images
from recap.data.corpus.index import digest_of
from recap.data.corpus.records import Record
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from recap.runtime.seeding import derive_seed
from recap.runtime.store import Store

from .conftest import paint


class CountingCaptioner:
    def __init__(self, *, dies_at: int | None = None, fits: int = 1000, junk: bool = False) -> None:
        self.batches: list[int] = []
        self.dies_at = dies_at
        self.fits = fits
        self.junk = "empty" if junk else None

    def pixels(self, image: Image.Image) -> torch.Tensor:
        return torch.tensor(float(sum(image.convert("L").get_flattened_data()) / (image.width * image.height)))

    def generate(self, inputs: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[list[Candidate]]:
        if len(self.batches) == self.dies_at:
            raise KeyboardInterrupt
        if len(inputs) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(len(inputs))
        return [
            [Candidate(f"grey {value:.3f} seed {seed}", junk=self.junk), Candidate("a grey thing", junk=self.junk)]
            for value, seed in zip(inputs, seeds, strict=True)
        ]


def caption(
    captioner: CountingCaptioner, root: Path, images: Sequence[str], *,
    store: Path | None = None, settings: dict[str, Any] | None = None, batch_size: int = 4, max_failed: float = 20.0,
) -> list[Outcome]:  # fmt: skip
    """Everything that the stage does with one process."""
    settings = settings or {"prompt": "a"}
    with Store(store or root / "store.sqlite") as opened:
        digests = digests_of(root, images, threads=2)
        names = names_by_digest(digests)
        faults = caption_missing(
            lambda: captioner, opened, settings, Work(root, names, opened.missing(KIND, settings, names)),
            seed=1, batch_size=BatchSize(batch_size, None), threads=2, allowance=Allowance(max_failed, len(images)),
        )  # fmt: skip
        return list(outcomes(opened, settings, digests, faults))


def test_unique_images_keep_the_order_of_their_first_rows() -> None:
    records = [Record(str(index), image, "") for index, image in enumerate(["b.jpg", "a.jpg", "b.jpg", "c.jpg"])]
    assert unique_images(records) == ["b.jpg", "a.jpg", "c.jpg"]


def test_no_image_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="corpus without rows"):
        unique_images([])


def test_each_image_is_captioned_with_the_seed_of_its_bytes(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    captioner = CountingCaptioner()
    found = caption(captioner, root, images[:10])
    assert captioner.batches == [4, 4, 2]
    assert [outcome.image for outcome in found if isinstance(outcome, Captioned)] == images[:10]
    assert isinstance(found[9], Captioned)
    seed = derive_seed(1, "caption", digest_of((root / images[9]).read_bytes()))
    assert found[9].candidates[0].caption.endswith(f"seed {seed}")


def test_one_added_image_costs_one_caption(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    before = caption(CountingCaptioner(), root, images[:11])
    captioner = CountingCaptioner()
    after = caption(captioner, root, [images[11], *images[:11]])
    assert captioner.batches == [1]
    assert after[1:] == before


def test_a_moved_or_duplicate_image_costs_none(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    before = caption(CountingCaptioner(), root, images)
    (root / images[0]).rename(root / "moved.png")
    (root / "again.png").write_bytes((root / images[1]).read_bytes())
    captioner = CountingCaptioner()
    after = caption(captioner, root, ["moved.png", *images[1:], "again.png"])
    assert captioner.batches == []
    assert after == [
        Captioned("moved.png", before[0].candidates),
        *before[1:],
        Captioned("again.png", before[1].candidates),
    ]


def test_duplicates_within_a_corpus_are_captioned_once(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    copies = [f"copy{index}.png" for index in range(3)]
    for copy in copies:
        (root / copy).write_bytes((root / images[0]).read_bytes())
    captioner = CountingCaptioner()
    found = caption(captioner, root, [copies[0], images[0], images[1], *copies[1:]])
    assert captioner.batches == [2]
    assert found[0].candidates == found[1].candidates == found[4].candidates != found[2].candidates


def test_other_settings_cost_everything_and_keep_what_was(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    caption(CountingCaptioner(), root, images)
    other, same = CountingCaptioner(), CountingCaptioner()
    caption(other, root, images, settings={"prompt": "b"})
    caption(same, root, images)
    assert (other.batches, same.batches) == ([4, 4, 4], [])


def test_a_bad_image_costs_its_row_and_no_other(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    whole = caption(CountingCaptioner(), root, images, store=root / "whole.sqlite")
    (root / images[2]).write_bytes((root / images[2]).read_bytes()[:60])
    (root / images[7]).unlink()
    found = caption(CountingCaptioner(), root, images)
    failures = {outcome.where: outcome.reason for outcome in found if isinstance(outcome, Fault)}
    assert failures == {images[2]: "broken_image", images[7]: "missing_image"}
    assert [outcome for outcome in found if isinstance(outcome, Captioned)] == [
        outcome for outcome in whole if outcome.image not in failures
    ]


def test_a_path_out_of_the_folder_is_a_failure(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    (outcome,) = caption(CountingCaptioner(), root / "images", ["../" + images[0]], max_failed=100.0)
    assert isinstance(outcome, Fault) and outcome.reason == "path_leaves_root"


def test_an_image_whose_candidates_are_all_junk_is_a_failure_and_keeps_them(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    with pytest.raises(UserError, match=r"at most 20 percent of 12 images may fail, 3 \(25\.0 percent\) have already"):
        caption(CountingCaptioner(junk=True), root, images)
    # The batch was kept all the same: another limit does not ask the captioner again.
    captioner = CountingCaptioner(junk=True)
    found = caption(captioner, root, images, max_failed=100.0)
    assert sum(captioner.batches) == 8
    assert isinstance(found[0], Captioned) and len(found[0].candidates) == 2
    assert isinstance(found[1], Fault) and (found[1].where, found[1].reason) == (images[0], "junk_empty")
    assert len(found) == 24


def test_too_many_failures_stop_the_run_early(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    for index, image in enumerate(images[:3]):
        (root / image).write_bytes(b"%d" % index)
    captioner = CountingCaptioner()
    with pytest.raises(UserError) as error:
        caption(captioner, root, images)
    assert "3 (25.0 percent) have already: broken_image 3; first: images/00.png: broken_image: " in str(error.value)
    assert "\n" not in str(error.value)
    assert captioner.batches == [1]


@pytest.mark.parametrize("dies_at", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [3, 4])
def test_an_interrupted_run_loses_one_batch(pictures: tuple[Path, list[str]], dies_at: int, batch_size: int) -> None:
    root, images = pictures
    (root / images[1]).write_bytes(b"")
    expected = caption(CountingCaptioner(), root, images, store=root / "undisturbed.sqlite")
    with pytest.raises(KeyboardInterrupt):
        caption(CountingCaptioner(dies_at=dies_at), root, images)
    captioner = CountingCaptioner()
    assert caption(captioner, root, images, batch_size=batch_size) == expected
    assert sum(captioner.batches) == 11 - max(0, 4 * dies_at - 1)


def test_an_image_that_changed_is_captioned_anew(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    before = caption(CountingCaptioner(), root, images)
    paint(root / images[5], 77)
    captioner = CountingCaptioner()
    after = caption(captioner, root, images)
    assert captioner.batches == [1]
    assert [index for index, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]] == [5]


def test_an_image_that_is_replaced_while_the_run_goes_is_told(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    digests = digests_of(root, images, threads=2)
    paint(root / images[5], 77)
    names = names_by_digest(digests)
    with Store(root / "store.sqlite") as store:
        (fault,) = caption_missing(
            CountingCaptioner, store, {}, Work(root, names, list(names)),
            seed=1, batch_size=BatchSize(4, None), threads=2, allowance=Allowance(20, 12),
        )  # fmt: skip
        assert (fault.where, fault.reason) == (images[5], "changed_image")
        assert len(store.missing(KIND, {}, names)) == 1


def test_captions_that_are_dropped_while_the_run_goes_are_told(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    with Store(root / "store.sqlite") as store, pytest.raises(UserError, match="something dropped them meanwhile"):
        list(outcomes(store, {}, digests_of(root, images, threads=2), []))


def test_each_rank_captions_its_part(pictures: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    root, images = pictures
    alone = caption(CountingCaptioner(), root, images, store=root / "alone.sqlite")
    digests = digests_of(root, images, threads=2)
    names = names_by_digest(digests)
    monkeypatch.setenv("WORLD_SIZE", "3")
    done = []
    with Store(root / "store.sqlite") as store:
        work = Work(root, names, store.missing(KIND, {}, names))
        for rank in range(3):
            monkeypatch.setenv("RANK", str(rank))
            captioner = CountingCaptioner()
            caption_missing(
                lambda captioner=captioner: captioner, store, {}, work,
                seed=1, batch_size=BatchSize(3, None), threads=2, allowance=Allowance(20, 12),
            )  # fmt: skip
            done.append(sum(captioner.batches))
        assert done == [4, 4, 4]
        assert list(outcomes(store, {}, digests, [])) == alone


def test_what_does_not_fit_is_done_in_halves_without_losing_a_row(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    whole = caption(CountingCaptioner(), root, images, store=root / "whole.sqlite")
    captioner = CountingCaptioner(fits=3)
    assert caption(captioner, root, images, batch_size=8) == whole
    assert captioner.batches == [2, 2, 2, 2, 2, 2]
    with pytest.raises(UserError, match="expected memory for one image at a time, found too little"):
        caption(CountingCaptioner(fits=0), root, images, store=root / "none.sqlite")


def tally(candidates: list[Outcome], images: int) -> Tally:
    counted = Tally(Allowance(100.0, images))
    list(counted.rows(iter(candidates)))
    return counted


def test_counts_and_variety() -> None:
    found: list[Outcome] = [
        Captioned("a.jpg", [Candidate("a photo", junk="boilerplate"), Candidate("a red bus")]),
        Captioned("b.jpg", [Candidate("a red bus"), Candidate("a bus")]),
        Fault("c.jpg", None, "broken_image", "truncated"),
        Captioned("d.jpg", [Candidate("a small dog on the left of a", truncated=True)]),
        Captioned("e.jpg", [Candidate("two cats")]),
        Captioned("f.jpg", [Candidate("", junk="empty"), Candidate("photo", junk="boilerplate")]),
        Fault("f.jpg", None, "junk_empty", ""),
    ]
    assert tally(found, 6).summary() == {
        "num_images": 6,
        "num_captioned": 4,
        "num_failed": 2,
        "failed_percent": pytest.approx(100 / 3),
        "failed_by_reason": {
            "missing_image": 0,
            "broken_image": 1,
            "image_too_large": 0,
            "image_too_thin": 0,
            "path_leaves_root": 0,
            "changed_image": 0,
            "junk_empty": 1,
        },
        "unique_percent": 75.0,
        "truncated_percent": 25.0,
        "num_candidates": 8,
        "junk_percent": 37.5,
        "junk_by_reason": {"boilerplate": 2, "empty": 1},
    }


def test_without_captions_there_is_no_share() -> None:
    summary = tally([Fault("a.jpg", None, "missing_image", "")], 1).summary()
    assert summary["failed_percent"] == 100.0
    assert summary["unique_percent"] is summary["truncated_percent"] is summary["junk_percent"] is None


@pytest.mark.parametrize(
    ("reason", "advice"),
    [("junk_cut_off", "raise caption.max_new_tokens"), ("junk_language", "caption.language"), ("broken_image", "mend")],
)
def test_too_many_failures_say_what_helps(reason: str, advice: str) -> None:
    with pytest.raises(UserError, match=f"caption.max_failed: .*{reason} 1; .*; .*{advice}"):
        Allowance(0.0, 10).spend(Fault("a.jpg", None, reason, "so"))

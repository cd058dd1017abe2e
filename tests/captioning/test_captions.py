"""The loop over a corpus, with a captioner that counts: its caption names the image's mean grey and the seed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from recap.captioning.blip2 import Generated
from recap.captioning.captions import Caption, Captions, caption_images, unique_images
from recap.data.corpus.records import Record
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault
from recap.runtime.scratch import Journal
from recap.runtime.seeding import derive_seed

from .conftest import paint


class CountingCaptioner:
    def __init__(self, *, dies_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.dies_at = dies_at

    def pixels(self, image: Image.Image) -> torch.Tensor:
        return torch.tensor(float(sum(image.convert("L").get_flattened_data()) / (image.width * image.height)))

    def generate(self, pixels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[Generated]:
        if len(self.batches) == self.dies_at:
            raise KeyboardInterrupt
        self.batches.append(len(pixels))
        return [Generated(f"grey {value:.3f} seed {seed}", False) for value, seed in zip(pixels, seeds, strict=True)]


def caption(captioner: CountingCaptioner, root: Path, images: list[str], **options: object) -> Captions:
    arguments = {"seed": 1, "batch_size": 4, "max_failed": 20.0, "workers": 2} | options
    return caption_images(captioner, root, images, journal=Journal(root / "journal.jsonl"), **arguments)


def test_unique_images_keep_the_order_of_their_first_rows() -> None:
    records = [Record(str(index), image, "") for index, image in enumerate(["b.jpg", "a.jpg", "b.jpg", "c.jpg"])]
    assert unique_images(records) == ["b.jpg", "a.jpg", "c.jpg"]


def test_each_image_is_captioned_once_with_its_own_seed(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    captioner = CountingCaptioner()
    outcomes = caption(captioner, root, images[:10]).outcomes
    assert captioner.batches == [4, 4, 2]
    assert [outcome.image for outcome in outcomes] == images[:10]
    assert isinstance(outcomes[9], Caption)
    assert outcomes[9].caption.endswith(f"seed {derive_seed(1, 'caption', images[9])}")


def test_a_bad_image_costs_its_row_and_no_other(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    whole = caption(CountingCaptioner(), root, images).outcomes
    (root / "journal.jsonl").unlink()
    (root / images[2]).write_bytes((root / images[2]).read_bytes()[:60])
    (root / images[7]).unlink()
    outcomes = caption(CountingCaptioner(), root, images).outcomes
    failures = {outcome.where: outcome.reason for outcome in outcomes if isinstance(outcome, Fault)}
    assert failures == {images[2]: "broken_image", images[7]: "missing_image"}
    assert [o for o in outcomes if isinstance(o, Caption)] == [
        o for o in whole if isinstance(o, Caption) and o.image not in failures
    ]


def test_a_path_out_of_the_folder_is_a_failure(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    outcome = caption(CountingCaptioner(), root / "images", ["../" + images[0]], max_failed=100.0).outcomes[0]
    assert isinstance(outcome, Fault) and outcome.reason == "path_leaves_root"


def test_a_caption_without_words_is_a_failure(
    pictures: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, images = pictures
    monkeypatch.setattr(CountingCaptioner, "generate", lambda self, pixels, seeds: [Generated("", False)] * len(pixels))
    with pytest.raises(UserError, match=r"at most 20 percent of 12 images may fail, 4 \(33\.3 percent\) have already"):
        caption(CountingCaptioner(), root, images)
    outcomes = caption(CountingCaptioner(), root, images, max_failed=100.0).outcomes
    assert outcomes[0] == Fault(images[0], None, "empty_caption", "the captioner wrote no word")


def test_too_many_failures_stop_the_run_early(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    for image in images[:3]:
        (root / image).write_bytes(b"")
    captioner = CountingCaptioner()
    with pytest.raises(UserError) as error:
        caption(captioner, root, images)
    assert "3 (25.0 percent) have already: broken_image 3; first: images/00.png: broken_image: " in str(error.value)
    assert "\n" not in str(error.value)
    assert captioner.batches == [1]


def test_no_image_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus without rows"):
        caption(CountingCaptioner(), tmp_path, [])


@pytest.mark.parametrize("dies_at", [0, 1, 2])
def test_a_killed_run_goes_on_with_the_same_batches(pictures: tuple[Path, list[str]], dies_at: int) -> None:
    root, images = pictures
    (root / images[1]).write_bytes(b"")
    undisturbed = CountingCaptioner()
    expected = caption(undisturbed, root, images).outcomes
    (root / "journal.jsonl").unlink()

    with pytest.raises(KeyboardInterrupt):
        caption(CountingCaptioner(dies_at=dies_at), root, images)
    with (root / "journal.jsonl").open("a") as stream:
        stream.write('{"batch": [{"image": "images/11.png", "caption": "torn')
    captioner = CountingCaptioner()
    result = caption(captioner, root, images)
    assert result.outcomes == expected
    assert captioner.batches == undisturbed.batches[dies_at:]
    assert result.num_kept == sum(undisturbed.batches[:dies_at])


def test_a_journaled_image_that_changed_is_captioned_anew(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    before = caption(CountingCaptioner(), root, images).outcomes
    paint(root / images[5], 77)
    captioner = CountingCaptioner()
    result = caption(captioner, root, images)
    assert captioner.batches == [1] and result.num_kept == 11
    assert [index for index, pair in enumerate(zip(before, result.outcomes, strict=True)) if pair[0] != pair[1]] == [5]


def test_another_batch_size_goes_on_too(pictures: tuple[Path, list[str]]) -> None:
    root, images = pictures
    with pytest.raises(KeyboardInterrupt):
        caption(CountingCaptioner(dies_at=1), root, images)
    captioner = CountingCaptioner()
    caption(captioner, root, images, batch_size=3)
    assert captioner.batches == [2, 3, 3]

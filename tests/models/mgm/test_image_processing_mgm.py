"""Image preparation, bit for bit as the original's, and the views of a grid."""

from pathlib import Path

import mgm_golden as golden
import pytest
import torch
from PIL import Image

from recap.models.mgm.image_processing_mgm import MGMImageProcessor

FIXTURES = ("landscape_pad", "portrait_pad", "square_pad", "landscape_crop", "portrait_crop", "tiny_pad")


def check(folder: Path, name: str) -> None:
    case = golden.read(folder, "data_cases.json")["image"][name]
    tensors = golden.read(folder, "data_tensors.safetensors")
    processor = MGMImageProcessor(image_size=case["raw"], image_size_aux=case["aux"])
    given = Image.fromarray(tensors[f"image.{name}.pixels_uint8"].numpy())
    found = processor(given, image_aspect_ratio=case["image_aspect_ratio"])
    assert torch.equal(found["pixel_values"][0], tensors[f"image.{name}.image"])
    assert torch.equal(found["pixel_values_aux"][0], tensors[f"image.{name}.image_aux"])


def test_one_image_without_the_whole_reference(slice_of_reference: Path) -> None:
    check(slice_of_reference, "landscape_crop")


@pytest.mark.parametrize("name", FIXTURES)
def test_every_image(reference: Path, name: str) -> None:
    check(reference, name)


def test_there_are_no_other_fixtures(reference: Path) -> None:
    assert set(golden.read(reference, "data_cases.json")["image"]) == set(FIXTURES)


def test_padding_colour_and_place() -> None:
    processor = MGMImageProcessor(image_size=2, image_size_aux=4, image_mean=(0.5, 0.25, 0.0), image_std=(1, 1, 1))
    found = processor(Image.new("RGB", (4, 1), (255, 255, 255)))["pixel_values_aux"][0]
    white = torch.tensor([0.5, 0.75, 1.0])
    background = torch.tensor([127, 63, 0]) / 255 - torch.tensor([0.5, 0.25, 0.0])
    torch.testing.assert_close(found[:, 1, 0], white)  # (4 - 1) // 2: the row above the middle
    for row in (0, 2, 3):
        torch.testing.assert_close(found[:, row, 0], background)


def test_a_grid_is_the_tiles_of_a_larger_image_and_then_the_whole() -> None:
    picture = Image.effect_noise((60, 60), 80)
    whole = MGMImageProcessor(image_size=8, image_size_aux=32)(picture)
    grid = MGMImageProcessor(image_size=4, image_size_aux=32, image_grid=2, image_global=True)(picture)
    assert grid["pixel_values"].shape == (1, 5, 3, 4, 4)
    tiles = grid["pixel_values"][0]
    above, below = torch.cat([tiles[0], tiles[1]], dim=2), torch.cat([tiles[2], tiles[3]], dim=2)
    assert torch.equal(torch.cat([above, below], dim=1), whole["pixel_values"][0])
    low = torch.nn.functional.interpolate(whole["pixel_values"], size=(4, 4), mode="bilinear", align_corners=False)
    assert torch.equal(tiles[4], low[0])
    assert torch.equal(grid["pixel_values_aux"], whole["pixel_values_aux"])


def test_without_a_global_view() -> None:
    processor = MGMImageProcessor(image_size=4, image_size_aux=32, image_grid=2)
    assert processor(Image.new("RGB", (9, 9)))["pixel_values"].shape == (1, 4, 3, 4, 4)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("aspect", ["pad", "square"])
def test_any_mode(mode: str, aspect: str) -> None:
    found = MGMImageProcessor(image_size=4, image_size_aux=8)(Image.new(mode, (5, 3)), image_aspect_ratio=aspect)
    assert found["pixel_values_aux"].shape == (1, 3, 8, 8)
    assert found["pixel_values_aux"].dtype == torch.float32


def test_several_images_are_each_prepared_alone() -> None:
    processor, pictures = MGMImageProcessor(image_size=4, image_size_aux=8), [Image.effect_noise((9, 7), 50)] * 2
    pictures.append(Image.new("L", (1, 30), 7))
    together = processor(pictures)
    for index, picture in enumerate(pictures):
        assert torch.equal(together["pixel_values"][index], processor(picture)["pixel_values"][0])


def test_unknown_aspect() -> None:
    with pytest.raises(ValueError, match="should be 'pad' or 'square', found 'anyres'"):
        MGMImageProcessor()(Image.new("RGB", (4, 4)), image_aspect_ratio="anyres")

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPImageProcessorPil
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from recap.captioning.preprocessing import Preprocessing
from recap.data.corpus.images import open_image

from .conftest import paint

PROCESSOR = BlipImageProcessorPil(size={"height": 20, "width": 16})
PREPROCESSING = Preprocessing(PROCESSOR)


@settings(max_examples=20, deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), seed=st.integers(0, 99))
def test_the_table_gives_the_processors_values_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("pictures")
    paint(folder / "a.png", seed, size=(width, height))
    image = open_image(folder, "a.png")
    prepared = PREPROCESSING.prepare(image)
    assert prepared.dtype == torch.uint8 and prepared.shape == (3, 20, 16)
    values = PREPROCESSING.values(prepared[None], torch.device("cpu"))[0]
    assert torch.equal(values, PROCESSOR(image, return_tensors="pt")["pixel_values"][0])


@pytest.mark.parametrize(
    "processor",
    [
        CLIPImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 20, "width": 20}),
        BlipImageProcessorPil(size={"height": 8, "width": 8}),
    ],
    ids=["crops", "too small for a table"],
)
def test_a_processor_of_another_kind_is_used_itself(tmp_path: Path, processor: object) -> None:
    paint(tmp_path / "a.png", 1, size=(50, 30))
    preprocessing, image = Preprocessing(processor), open_image(tmp_path, "a.png")
    assert preprocessing.table is None
    expected = processor(image, return_tensors="pt")["pixel_values"][0]
    assert torch.equal(preprocessing.prepare(image), expected)
    assert torch.equal(preprocessing.values(expected[None], torch.device("cpu"))[0], expected)


def test_a_processor_that_looks_at_the_whole_picture_is_used_itself() -> None:
    class Stretched(BlipImageProcessorPil):
        def __call__(self, images: object, **settings: object) -> dict[str, torch.Tensor]:
            values = super().__call__(images, **settings)["pixel_values"]
            return {"pixel_values": values / values.abs().max()}

    assert Preprocessing(Stretched(size={"height": 20, "width": 16})).table is None

"""Operators that make pictures are stopped at their first batch."""

from pathlib import Path

import pytest

from recap.data.corpus.records import Record
from recap.data.formats.samples import Sample
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.runner import run_recipe
from recap.data.sources.packing import pack
from recap.io import write_jsonl
from recap.runtime.errors import UserError
from tests.format_files import picture


@pytest.mark.parametrize("workers", [1, 2])
def test_an_operator_that_blurs_is_told(tmp_path: Path, workers: int) -> None:
    names = [f"images/{number}.png" for number in range(4)]
    samples = [Sample(name, name, name, "words", {}, picture(number)) for number, name in enumerate(names)]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "work").mkdir()
    pack(samples, tmp_path, tmp_path / "corpus", work=tmp_path / "work")
    write_jsonl(tmp_path / "captions.jsonl", [])
    recipe = Recipe("test", [Operator("image_blur_mapper", "image_blur_mapper", {"p": 1.0, "batch_size": 1})])
    records = [Record(name, name, "words") for name in names]
    with pytest.raises(UserError, match=r"image_blur_mapper failed .*it made the picture .*only captions may change"):
        run_recipe(
            recipe, records, image_root=tmp_path / "corpus", captions=tmp_path / "captions.jsonl", workers=workers
        )

"""Operators from files of one's own, which a recipe names as a configuration of Data-Juicer does."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from recap.data.corpus.records import Record, caption_of
from recap.data.processing.juicer import OPERATORS
from recap.data.processing.recipe import read_recipe
from recap.data.processing.runner import Processed, run_recipe
from recap.runtime.errors import UserError

OPERATOR = """
from data_juicer.ops.base_op import OPERATORS, Mapper

@OPERATORS.register_module("exclaiming_mapper")
class Exclaiming(Mapper):
    def process_single(self, sample):
        return {**sample, self.text_key: sample[self.text_key] + "!"}
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Takes what a test registers and loads out again."""
    operators, modules = dict(OPERATORS.modules), set(sys.modules)
    yield
    OPERATORS.modules.clear()
    OPERATORS.modules.update(operators)
    for name in set(sys.modules) - modules:
        if name.startswith("recap_custom_operators"):
            del sys.modules[name]


def run(folder: Path, operators: str, workers: int = 1) -> Processed:
    (folder / "r.yaml").write_text(f"custom_operator_paths: [{operators}]\nprocess: [exclaiming_mapper: {{}}]\n")
    (folder / "captions.jsonl").touch()
    records = [Record(str(number), f"{number}.jpg", "a cat") for number in range(4)]
    return run_recipe(
        read_recipe(folder / "r.yaml"), records, image_root=folder, captions=folder / "captions.jsonl", workers=workers
    )


def test_a_file_of_operators_is_loaded_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OPERATOR)
    for workers in (1, 2):
        done = run(tmp_path, str(tmp_path / "mine.py"), workers)
        assert {caption_of(row["text"]) for row in done.rows} == {"a cat!"}


def test_what_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_package")
    with pytest.raises(
        UserError, match=r"recipe r: .*broken\.py: ModuleNotFoundError: No module named 'no_such_package'"
    ):
        run(tmp_path, str(tmp_path / "broken.py"))
    with pytest.raises(UserError, match=r"expected a file of operators, found none at .*absent\.py"):
        run(tmp_path, str(tmp_path / "absent.py"))


def test_recaps_own_modules_are_imported_as_such(root: Path, tmp_path: Path) -> None:
    """Under another name they would register their operators twice."""
    with pytest.raises(UserError, match="Unknown operator 'exclaiming_mapper'"):
        run(tmp_path, str(root / "src/recap/data/processing/operators.py"))


CAPTIONER = """
from data_juicer.ops.base_op import OPERATORS, Mapper

class Calling(OPERATORS.modules["image_captioning_mapper"]):
    def __init__(self, *args, **kwargs):
        Mapper.__init__(self, *args, **kwargs)

    def process_batched(self, samples):
        samples = {key: [value for value in values for _ in range(2)] for key, values in samples.items()}
        texts = samples[self.text_key]
        assert all(text.startswith("<__dj__image> ") for text in texts)
        samples[self.text_key] = [f"<__dj__image> a new one <|__dj__eoc|>" if n % 2 else t for n, t in enumerate(texts)]
        return samples

OPERATORS.register_module("exclaiming_mapper", Calling)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_captioner_made_from_data_juicers_finds_markers_and_is_named_as_the_source(
    tmp_path: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path], workers: int
) -> None:
    for number in range(4):
        Image.new("RGB", (30, 30), (number, 0, 0)).save(tmp_path / f"{number}.jpg")
    pack_corpus([Record(str(number), f"{number}.jpg", "a cat") for number in range(4)], tmp_path, tmp_path)
    (tmp_path / "mine.py").write_text(CAPTIONER)
    done = run(tmp_path, str(tmp_path / "mine.py"), workers)
    assert [(row["id"], caption_of(row["text"]), row["caption_source"]) for row in done.rows[:2]] == [
        ("0", "a cat", "raw"), ("0_2", "a new one", "exclaiming_mapper"),
    ]  # fmt: skip

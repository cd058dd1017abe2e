"""Every pair is scored once for ever: what is encoded, what the store has, what a broken picture costs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from recap.alignment import scoring
from recap.alignment.aligners import Score, Text, load_aligner
from recap.alignment.scoring import Pair, Scores, score_pairs
from recap.data.corpus.records import Record
from recap.runtime.errors import UserError
from recap.runtime.store import Store

from .conftest import sentence


class Counted:
    """Counts what it encodes. A picture's number is its red, a text's its length; their product is the cosine."""

    def __init__(self) -> None:
        self.loads = 0
        self.images: list[float] = []
        self.texts: list[str] = []
        self.sizes: list[int] = []

    def load(self) -> "Counted":
        self.loads += 1
        return self

    def inputs(self, image: Image.Image) -> Any:
        return {"red": torch.tensor(float(image.getpixel((0, 0))[0]))}  # type: ignore[index]

    def encode_images(self, inputs: Sequence[Any]) -> list[float]:
        reds = [item["red"].item() for item in inputs]
        self.images += reds
        return reds

    def encode_texts(self, texts: Sequence[str]) -> list[Text]:
        self.texts += texts
        return [Text(len(text), len(text) > 9) for text in texts]

    def scores(self, images: Sequence[float], texts: Sequence[Text]) -> list[Score]:
        self.sizes.append(len(images))
        return [Score(red * text.encoding / 1e4, None) for red, text in zip(images, texts, strict=True)]


@pytest.fixture
def reds(tmp_path: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]) -> Path:
    """A corpus of five pictures, the fourth with the first one's bytes."""
    (tmp_path / "reds").mkdir()
    for index, red in enumerate((10, 20, 30, 10, 50)):
        Image.new("RGB", (300, 300), (red, 0, 0)).save(tmp_path / "reds" / f"{index}.png")
    rows = [Record(f"r{index}", f"{index}.png", "x") for index in range(5)]
    return pack_corpus(rows, tmp_path / "reds", tmp_path / "red corpus")


def score(counted: Counted, corpus: Path, pairs: Sequence[Pair], store: Path, **settings: Any) -> Scores:
    with Store(store) as opened:
        return score_pairs(counted.load, {"model": "m", **settings}, corpus, pairs, store=opened, batch_size=3)


PAIRS = [
    ("0.png", "aa"),
    ("1.png", "aa"),
    ("0.png", "aa"),
    ("3.png", "aa"),
    ("0.png", "bbb"),
    ("4.png", "a very long text"),
]


def test_equal_pairs_pictures_and_texts_are_done_once(reds: Path, tmp_path: Path) -> None:
    counted = Counted()
    scores = score(counted, reds, PAIRS, tmp_path / "store")
    assert scores.alignment("0.png", "aa") == scores.alignment("3.png", "aa") == 10 * 2 / 1e4
    assert scores.alignment("1.png", "aa") == 20 * 2 / 1e4 and scores.alignment("0.png", "bbb") == 10 * 3 / 1e4
    assert (scores.num_pairs, scores.num_kept, scores.num_cut, scores.faults) == (4, 0, 1, {})
    assert counted.images == [10, 20, 50]
    assert sorted(counted.texts) == ["a very long text", "aa", "bbb"]


def test_what_the_store_has_is_not_computed(reds: Path, tmp_path: Path) -> None:
    first = score(Counted(), reds, PAIRS, tmp_path / "store")
    counted = Counted()
    again = score(counted, reds, PAIRS, tmp_path / "store")
    assert (again.by_pair, again.num_kept, counted.loads) == (first.by_pair, 4, 0)
    added = score(counted, reds, [*PAIRS, ("2.png", "aa")], tmp_path / "store")
    assert (added.num_kept, counted.images, counted.texts) == (4, [30], ["aa"])
    score(counted, reds, PAIRS, tmp_path / "store", dtype="bfloat16")
    assert counted.images == [30, 10, 20, 50]


def test_another_engine_scores_anew(reds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score(Counted(), reds, PAIRS, tmp_path / "store")
    monkeypatch.setattr(scoring, "ENGINE_VERSION", scoring.ENGINE_VERSION + 1)
    counted = Counted()
    assert score(counted, reds, PAIRS, tmp_path / "store").num_kept == 0 and counted.images == [10, 20, 50]


def test_a_picture_with_many_texts_is_scored_in_turns(reds: Path, tmp_path: Path) -> None:
    counted = Counted()
    texts = ["a" * length for length in range(1, 9)]
    scores = score(counted, reds, [("4.png", text) for text in texts] + [("1.png", "a")], tmp_path / "store")
    assert counted.images == [50, 20] and max(counted.sizes) == 3
    assert [scores.alignment("4.png", text) for text in texts] == [50 * length / 1e4 for length in range(1, 9)]


def test_a_broken_picture_costs_its_own_pairs(
    tmp_path: Path, reds: Path, pack_corpus: Callable[[Sequence[Record], Path, Path], Path]
) -> None:
    shard = next(reds.glob("*.tar"))
    content = shard.read_bytes()
    png = (tmp_path / "reds" / "1.png").read_bytes()
    shard.write_bytes(content.replace(png, b"x" * len(png)))
    scores = score(Counted(), reds, [*PAIRS, ("gone.png", "aa")], tmp_path / "store")
    assert scores.alignment("1.png", "aa") is None and scores.alignment("0.png", "aa") == 10 * 2 / 1e4
    assert {image: fault.reason for image, fault in scores.faults.items()} == {
        "1.png": "broken_image",
        "gone.png": "missing_image",
    }


def test_broken_pictures_of_one_name_or_more(tmp_path: Path, reds: Path) -> None:
    shard = next(reds.glob("*.tar"))
    content = shard.read_bytes()
    png = (tmp_path / "reds" / "0.png").read_bytes()
    shard.write_bytes(content.replace(png, b"x" * len(png)))
    scores = score(Counted(), reds, PAIRS, tmp_path / "store")
    assert sorted(scores.faults) == ["0.png", "3.png"]


def test_memory_that_does_not_suffice_is_one_line(reds: Path, tmp_path: Path) -> None:
    class Exceeding(Counted):
        def encode_images(self, inputs: Sequence[Any]) -> list[float]:
            raise torch.OutOfMemoryError

    with pytest.raises(UserError, match=r"machine\.align_batch_size: 3 pairs exceed the memory"):
        score(Exceeding(), reds, PAIRS, tmp_path / "store")


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_scores_do_not_depend_on_the_batch(
    batch_size: int, corpus: Path, records: list[Record], aligner_folders: dict[str, Path], tmp_path: Path
) -> None:
    def scored(size: int, store: str) -> Scores:
        with Store(tmp_path / store) as opened:
            return score_pairs(
                lambda: load_aligner(aligner_folders["clip"], device=torch.device("cpu"), dtype=torch.float32),
                {}, corpus, [(row.image, sentence(number)) for row in records for number in range(3)],
                store=opened, batch_size=size,
            )  # fmt: skip

    expected = scored(12, "a").by_pair
    assert scored(batch_size, "b").by_pair == expected  # to the last of six decimals


SLOWLY = """
import sys, time, torch
from pathlib import Path
from recap.alignment.aligners import load_aligner
from recap.alignment.scoring import score_pairs
from recap.runtime.store import Store

def load():
    aligner = load_aligner(Path(sys.argv[1]), device=torch.device("cpu"), dtype=torch.float32)
    encode = aligner.encode_images
    aligner.encode_images = lambda inputs: (time.sleep(0.3), encode(inputs))[1]
    return aligner

with Store(Path(sys.argv[3])) as store:
    pairs = [(f"{index:02d}.png", "a photo of a cat") for index in range(12)]
    score_pairs(load, {}, Path(sys.argv[2]), pairs, store=store, batch_size=2)
"""


@pytest.mark.slow
def test_kill_9_loses_the_batch_in_flight(
    corpus: Path, records: list[Record], aligner_folders: dict[str, Path], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-c", SLOWLY, str(aligner_folders["clip"]), str(corpus), str(store)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120

    def kept() -> int:
        with Store(store) as opened:
            return int(opened.execute("SELECT COUNT(*) FROM results")[0][0])

    while not (store.is_file() and kept() >= 4):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = kept()
    assert 4 <= before < 12 and before % 2 == 0

    def scored(place: Path) -> Scores:
        pairs = [(row.image, "a photo of a cat") for row in records]
        with Store(place) as opened:
            return score_pairs(
                lambda: load_aligner(aligner_folders["clip"], device=torch.device("cpu"), dtype=torch.float32),
                {}, corpus, pairs, store=opened, batch_size=2,
            )  # fmt: skip

    resumed = scored(store)
    assert resumed.num_kept == before
    assert resumed.by_pair == scored(tmp_path / "another").by_pair


def test_what_the_store_calls_them(reds: Path, tmp_path: Path) -> None:
    """By this name `python -m recap.captioning.store export --kind alignment` finds them."""
    score(Counted(), reds, PAIRS[:1], tmp_path / "store")
    with Store(tmp_path / "store") as store:
        assert store.execute("SELECT DISTINCT kind FROM settings") == [("alignment",)]

"""Corpora with scored captions, larger than Data-Juicer's batch, and recipes run on them."""

import random
from pathlib import Path
from typing import Any

from recap.data.corpus.records import Record
from recap.data.processing.recipe import Operator, Recipe
from recap.data.processing.runner import Processed, run_recipe
from recap.io import write_jsonl

WORDS = ("a", "red", "bus", "old", "house", "by", "the", "sea", "with", "people")


class ScoredCorpus:
    """Rows `r0`, `r1`, ... with raw and BLIP-2 captions, each with a score.

    Args:
        folder: For the files of captions.
        scores: Of each row, raw and BLIP-2's; None for a caption that has none.
        raw: Captions; random ones where left out.
    """

    def __init__(
        self, folder: Path, scores: list[tuple[float | None, float | None]], raw: list[str] | None = None
    ) -> None:
        self.folder = folder
        draw = random.Random(0)
        captions = raw or [
            f"{' '.join(draw.choices(WORDS, k=draw.randint(2, 12)))} {number}" for number in range(len(scores))
        ]
        self.records = [Record(f"r{number}", f"{number}.jpg", caption) for number, caption in enumerate(captions)]
        self.blip2 = [
            f"{' '.join(draw.choices(WORDS, k=draw.randint(2, 12)))} picture {number}" for number in range(len(scores))
        ]
        write_jsonl(
            folder / "raw.jsonl",
            (
                {"id": record.id, "image": record.image, "caption": record.caption, "alignment": score}
                for record, (score, _) in zip(self.records, scores, strict=True)
            ),
        )
        write_jsonl(
            folder / "blip2.jsonl",
            (
                {"image": record.image, "caption": caption, "alignment": score}
                for record, caption, (_, score) in zip(self.records, self.blip2, scores, strict=True)
            ),
        )

    def run(
        self, *process: tuple[str, dict[str, Any]], workers: int = 1, seed: int = 42, backwards: bool = False
    ) -> Processed:
        recipe = Recipe("test", [Operator(name, name, arguments) for name, arguments in process])
        return run_recipe(
            recipe, self.records[::-1] if backwards else self.records, image_root=self.folder,
            captions=self.folder / "blip2.jsonl", raw_captions=self.folder / "raw.jsonl", workers=workers, seed=seed,
        )  # fmt: skip


def random_scores(rows: int) -> list[tuple[float | None, float | None]]:
    """In steps of a tenth, so that there are ties; one in twenty is missing."""
    draw = random.Random(1)
    return [tuple(None if draw.random() < 0.05 else draw.randrange(10) / 10 for _ in range(2)) for _ in range(rows)]

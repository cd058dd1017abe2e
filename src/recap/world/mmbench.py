"""Write the embedded MMBench: a TSV with base64 images, and one more row for every rotation of a question's options.

Rotation k shows in column X what column X+k showed, and has the index of its question plus k million; its image column
holds the index of the row whose picture it shares (VLMEvalKit@e8e78f05 vlmeval/dataset/image_mcq.py).
"""

import base64
import csv
import random
from pathlib import Path

from tqdm import tqdm

from recap.io import atomic_path
from recap.runtime.seeding import derive_seed
from recap.world.asking import questions_by_scene
from recap.world.questions import CHOICE_CATEGORIES, Choice, categorised_choice, hint
from recap.world.rendering import save_jpeg
from recap.world.scenes import Scene, scenes
from recap.world.settings import WorldSettings

COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category", "comment",
    "split",
)  # fmt: skip
ROTATION_STEP = 1_000_000


def write_mmbench(world: WorldSettings, folder: Path) -> int:
    """Write `mmbench_dev.tsv` below `folder`. Returns the number of rows: questions and their rotations."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(derive_seed(world.seed, "mmbench"))
    numbers = questions_by_scene(world.benchmarks.questions, rng)
    shown = zip(scenes("mmbench", len(numbers), world.seed), numbers, strict=True)
    base_rows: list[dict[str, str]] = []
    rotated_rows: list[dict[str, str]] = []
    for scene, number in tqdm(shown, total=len(numbers), desc="mmbench", unit="image"):
        picture = _base64_jpeg(scene, folder / ".picture.jpg")
        for category in rng.sample(CHOICE_CATEGORIES, number):
            choice = categorised_choice(scene, category, rng)
            index = len(base_rows) + 1
            before = hint(scene, category, rng)
            base_rows.append(_row(index, choice, choice.options, before, picture))
            for k in range(1, len(choice.options)):
                options = choice.options[k:] + choice.options[:k]
                rotated_rows.append(_row(index + k * ROTATION_STEP, choice, options, before, str(index)))
    rotated_rows.sort(key=lambda row: int(row["index"]))
    with atomic_path(folder / "mmbench_dev.tsv") as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(base_rows + rotated_rows)
    return len(base_rows) + len(rotated_rows)


def _row(index: int, choice: Choice, options: list[str], hint: str, image: str) -> dict[str, str]:
    return {
        "index": str(index),
        "question": choice.question,
        "hint": hint,
        **dict(zip("ABCD", [*options, "", ""], strict=False)),
        "answer": "ABCD"[options.index(choice.options[choice.index])],
        "category": choice.category,
        "image": image,
        "source": "street",
        "l2-category": choice.l2_category,
        "comment": "",
        "split": "dev",
    }


def _base64_jpeg(scene: Scene, path: Path) -> str:
    save_jpeg(scene, path)
    data = path.read_bytes()
    path.unlink()
    return base64.b64encode(data).decode("ascii")

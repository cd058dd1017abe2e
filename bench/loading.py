"""What a training step's samples cost to load, from shards and from loose files, beside the step itself.

    OMP_NUM_THREADS=1 python bench/loading.py

Makes a corpus, prepares it, and encodes its rows as the training stages do: picture decoded, resized for both towers,
text tokenised, batch padded. bench/README.md explains the columns.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from corpus import command_of, lay_out, timed
from repeats import quickest
from tables import print_table
from training import MIDDLE, TINY, middle_mgm, step_of, tiny_mgm

from recap.io import write_json
from recap.models.mgm.build import build_mgm
from recap.runtime.seeding import seed_everything
from recap.runtime.stage import run
from recap.runtime.timing import hardware
from recap.training.dataset import Example, RowEncoder, caption_examples

MAX_LENGTH = 256
# Name, pixels a side for ConvNeXt, and how it is made: samples at a time.
MODELS = {("tiny", 192, tiny_mgm): 64, ("100 M", MIDDLE["image_size_aux"], middle_mgm): 4}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000, help="rows of the corpus")
    parser.add_argument("--side", type=int, default=224, help="pixels of a picture's side")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("bench/results/loading.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    seed_everything(0)
    with tempfile.TemporaryDirectory(prefix="recap-bench-") as name:
        folder = Path(name)
        lay_out(folder, args.rows, args.side)
        timed(command_of("prepare", {"data.source": "source", "recipe": ""}), folder)
        rows = measured(folder, args)
    print_table(list(rows[0]), rows)
    write_json(args.output, {"hardware": hardware(), "setting": {"side_px": args.side}, "rows": rows})
    print(f"\n{args.output}")


def measured(folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds of CPU time per sample: loaded from either place, and trained on."""
    parts = [TINY / name for name in ("language_model", "vision_tower", "vision_tower_aux")]
    examples = caption_examples(folder / "data/corpus/index.parquet")
    chosen = random.Random(0).sample(examples, max(MODELS.values()))
    sources = {"shards": folder / "data/corpus", "loose files": folder / "source"}
    rows = []
    for (name, side, make), samples in MODELS.items():
        # Of a larger model only the pictures' size matters to the loader.
        _, processor = build_mgm(*parts, image_size_aux=side)
        trained = milliseconds(partial(step_of(make(), samples, text=40), False), args.repeats) / samples
        for kind, images in sources.items():
            encoder = RowEncoder(processor, {"caption": images}, "pad", MAX_LENGTH)
            loaded = milliseconds(partial(batch, encoder, chosen[:samples]), args.repeats) / samples
            rows.append(
                {
                    "model": name,
                    "pictures from": kind,
                    "load_ms": round(loaded, 2),
                    "step_ms": round(trained, 2),
                    "load_percent": round(100 * loaded / (loaded + trained), 1),
                }
            )
    return rows


def batch(encoder: RowEncoder, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    return encoder.collate([encoder.encode(example) for example in examples])


def milliseconds(work: Callable[[], Any], repeats: int) -> float:
    """CPU milliseconds of the quickest of several turns."""
    return 1e3 * quickest([work], repeats)[0].cpu


if __name__ == "__main__":
    run(main)

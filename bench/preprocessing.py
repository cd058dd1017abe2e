"""Milliseconds per image on one core: Recap's image preparation against what one would use instead.

    python bench/preprocessing.py --repeats 30

Prints a table and writes JSON. Pictures are decoded beforehand; one warm-up is left out. bench/README.md explains the
rivals and the columns.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tables import print_table
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.utils import is_torchvision_available

from recap.io import write_json
from recap.models.mgm.image_processing_mgm import MGMImageProcessor
from recap.runtime.stage import run
from recap.runtime.timing import hardware

LOW, HIGH = 336, 768
SIZES = ((1024, 768), (HIGH, HIGH))
COLUMNS = ("system", "picture", "median_ms", "best_ms", "largest_difference", "did_not_run")

# A picture -> its low-resolution and its high-resolution pixels.
Prepare = Callable[[Image.Image], tuple[torch.Tensor, torch.Tensor]]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30, help="times that every picture is prepared")
    parser.add_argument("--output", type=Path, default=Path("bench/results/preprocessing.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    rows = [row for size in SIZES for row in rows_of(photograph(*size), args.repeats)]
    print_table(COLUMNS, rows)
    versions = {name: version(name) for name in ("numpy", "pillow", "torch", "transformers")}
    setting = {"low": LOW, "high": HIGH, "repeats": args.repeats, "torch_threads": 1, "versions": versions}
    write_json(args.output, {"hardware": hardware(), "setting": setting, "rows": rows})
    print(f"\n{args.output}")


def photograph(width: int, height: int) -> Image.Image:
    """Smooth patches of colour under fine noise, the same every time."""
    generator = np.random.default_rng(0)
    patches = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    grain = generator.normal(0, 6, smooth.shape)
    return Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))


def rows_of(picture: Image.Image, repeats: int) -> Iterator[dict[str, Any]]:
    """Every system on one picture; a rival that cannot run says why."""
    size = f"{picture.width}x{picture.height}"
    recap = recap_processor()
    expected = recap(picture)
    yield {"system": "recap", "picture": size, **measured(recap, picture, repeats)}
    for system, processor_class in (("Pillow", CLIPImageProcessorPil), ("torchvision", CLIPImageProcessor)):
        row = {"system": f"transformers, {system}", "picture": size}
        if system == "torchvision" and not is_torchvision_available():
            yield row | {"did_not_run": "torchvision is not installed"}
            continue
        rival = clip_then_interpolate(processor_class)
        differences = [(a - b).abs().max().item() for a, b in zip(expected, rival(picture), strict=True)]
        yield row | measured(rival, picture, repeats) | {"largest_difference": max(differences)}


def measured(prepare: Prepare, picture: Image.Image, repeats: int) -> dict[str, float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        prepare(picture)
        seconds.append(time.perf_counter() - start)
    return {"median_ms": round(1000 * statistics.median(seconds), 2), "best_ms": round(1000 * min(seconds), 2)}


def recap_processor() -> Prepare:
    processor = MGMImageProcessor(LOW, HIGH)

    def prepare(picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = processor(picture)
        return inputs["pixel_values"], inputs["pixel_values_aux"]

    return prepare


def clip_then_interpolate(processor_class: Any) -> Prepare:
    """CLIP's processor at the high resolution, on a picture padded to a square, and torch's interpolation of that."""
    processor = processor_class(size={"shortest_edge": HIGH}, crop_size=HIGH)
    background = tuple(int(255 * mean) for mean in processor.image_mean)

    def prepare(picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        side = max(picture.size)
        square = Image.new("RGB", (side, side), background)
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        high = processor(square, return_tensors="pt")["pixel_values"]
        return torch.nn.functional.interpolate(high, size=(LOW, LOW), mode="bilinear", align_corners=False), high

    return prepare


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    run(main)

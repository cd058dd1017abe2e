"""Images per second: Recap's captioning engine against what one would write or use instead, on one model, in one run.

    python bench/captioning.py --model models/tiny/captioner --images data/corpus --count 256
    python bench/captioning.py --random opt-2.7b --quick      # full size, random weights; for a GPU

Prints a table and writes JSON. Times include opening and preparing the images; loading the model and one warm-up batch
are left out. bench/README.md explains systems and columns.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import transformers
from captioning_systems import SYSTEMS, Captions, Loaded, Task
from matrix_products import count_flops, peak_tflops, product_seconds
from random_blip2 import SIZES, random_model, random_pictures, random_processor
from tables import print_table

from recap.captioning.decoding import Decoding
from recap.data.corpus.images import stored_image
from recap.data.corpus.index import index_of
from recap.io import write_json
from recap.models.loading import DTYPES, pick_device
from recap.models.presence import require_model
from recap.runtime.errors import UserError
from recap.runtime.prefetch import loading_threads
from recap.runtime.stage import run
from recap.runtime.timing import hardware

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
COLUMNS = (
    "system", "dtype", "decoding", "candidates", "duplicates", "batch_size", "images_per_second", "times", "cpu_ms",
    "times_cpu", "products_percent", "peak_percent", "peak_gib", "same_percent", "remark",
)  # fmt: skip

TASKS = (("sampled", 1, 0), ("sampled", 1, 30), ("sampled", 4, 0), ("sampled", 4, 30), ("greedy", 1, 0))
SAME_TASK = ("dtype", "decoding", "candidates", "duplicates")


@dataclass(frozen=True)
class Cell:
    """One line of the table, before it is run."""

    system: str
    dtype: str
    decoding: str
    candidates: int
    duplicates: int
    batch_size: int


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/tiny/captioner"), help="BLIP-2 folder")
    parser.add_argument("--random", choices=sorted(SIZES), help="in its place a model of this size, of random weights")
    parser.add_argument("--images", type=Path, default=Path("data/corpus"), help="corpus, or folder of images")
    parser.add_argument("--count", type=int, help="images to caption; 256, or with --random by batch size")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES))
    parser.add_argument("--batch-sizes", type=int, nargs="+")
    parser.add_argument("--new-tokens", type=int, help="at most so many (32); with --random exactly so many (20)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=1, help="runs of every cell, of which the fastest counts")
    parser.add_argument("--quick", action="store_true", help="fewer images per cell")
    parser.add_argument("--output", type=Path, default=Path("bench/results/captioning.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    device = pick_device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cells = list(random_cells(args, device) if args.random else trained_cells(args, device))
        names = picture_files(root, max(picture_count(cell, args) for cell in cells), args)
        peaks = {name: peak_tflops(device, DTYPES[name]) for name in {cell.dtype for cell in cells}}
        rows = list(timed(cells, root, names, device, args, peaks))
    compare(rows)
    print_table(COLUMNS, rows)
    write_json(args.output, {"hardware": accelerator(device), "setting": described(args, peaks), "rows": rows})
    print(f"\n{args.output}")


def trained_cells(args: argparse.Namespace, device: torch.device) -> Iterator[Cell]:
    """One and four candidates, drawn; without duplicates and with 30 percent of them; and greedy search."""
    sizes = args.batch_sizes or [1, 8, 32, 64]
    for dtype in args.dtypes or (["bfloat16", "float32"] if device.type == "cuda" else ["float32"]):
        for decoding, candidates, duplicates in TASKS:
            for system in args.systems:
                for size in sizes:
                    if size > 1 or (candidates, duplicates) == (1, 0):
                        yield Cell(system, dtype, decoding, candidates, duplicates, size)


def random_cells(args: argparse.Namespace, device: torch.device) -> Iterator[Cell]:
    """Greedy search in every dtype and batch size; and four candidates."""
    sizes = args.batch_sizes or [1, 8, 64, 256]
    for dtype in args.dtypes or ["bfloat16", "float32"]:
        for size in sizes:
            for system in args.systems:
                yield Cell(system, dtype, "greedy", 1, 0, size)
        if dtype == "bfloat16" or device.type == "cpu":
            for system in args.systems:
                yield Cell(system, dtype, "sampled", 4, 0, sorted(sizes)[len(sizes) // 2])


def timed(
    cells: Sequence[Cell], root: Path, names: list[str], device: torch.device, args: argparse.Namespace,
    peaks: dict[str, float],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Run every cell; one that fails says why."""
    loaded, dtype = None, None
    failed: set[tuple[str, str]] = set()
    seen: dict[tuple[Any, ...], Captions] = {}
    for cell in cells:
        if loaded is None or dtype != cell.dtype:
            loaded = None
            _free(device)
            loaded, dtype = load(args, device, DTYPES[cell.dtype]), cell.dtype
        if (cell.system, cell.dtype) in failed:
            continue
        task = Task(root, decoding_of(cell, args), cell.batch_size, loading_threads())
        chosen = pictures_of(cell, names, args)
        row = vars(cell) | {"images": len(chosen)}
        earlier = seen.setdefault((cell.system, *(row[name] for name in SAME_TASK)), {})
        try:
            found, captions = measured(cell, loaded, task, chosen, device, args.repeats, peaks)
            yield row | found | same_percent(captions, earlier)
            earlier |= captions
        except torch.OutOfMemoryError:
            yield row | {"remark": "out of memory"}
        except Exception as error:
            failed.add((cell.system, cell.dtype))
            yield row | {"remark": f"did not run: {type(error).__name__}: {str(error)[:120]}"}
        _free(device)


def load(args: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> Loaded:
    """The model, once for all systems."""
    if args.random:
        return Loaded(random_model(args.random, device, dtype), random_processor(args.random))
    from recap.captioning.loading import load_captioner

    captioner = load_captioner(require_model(args.model, "captioner"), Decoding(), device=device, dtype=dtype)
    return Loaded(captioner.model, captioner.processor)


def decoding_of(cell: Cell, args: argparse.Namespace) -> Decoding:
    """A trained model ends its captions itself; a random one has to write all tokens."""
    tokens = args.new_tokens or (20 if args.random else 32)
    return Decoding(
        candidates=cell.candidates,
        do_sample=cell.decoding == "sampled",
        max_new_tokens=tokens,
        min_new_tokens=tokens if args.random else 0,
    )


def picture_count(cell: Cell, args: argparse.Namespace) -> int:
    """Pictures of a cell: with a random model enough for a steady state, few enough for slow cells."""
    return args.count or (256 if not args.random else max((2 if args.quick else 4) * cell.batch_size, 8))


def pictures_of(cell: Cell, names: list[str], args: argparse.Namespace) -> list[str]:
    """The pictures of a cell; where it wants duplicates, the first ones come once more in the place of the last."""
    count = picture_count(cell, args)
    unique = round(count * (1 - cell.duplicates / 100))
    return [names[number % unique] for number in range(count)]


def measured(
    cell: Cell,
    loaded: Loaded,
    task: Task,
    names: list[str],
    device: torch.device,
    repeats: int,
    peaks: dict[str, float],
) -> tuple[dict[str, Any], Captions]:
    """Warm up with one batch, then take the fastest run; how much of it went into matrix products."""
    work = SYSTEMS[cell.system](loaded, task)
    first = names[: cell.batch_size]
    work(first)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds, cpu_seconds = [], []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        captions = work(names)  # text, so nothing is left to wait for on the device
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
    per_second = len(names) / min(seconds)
    row: dict[str, Any] = {
        "images_per_second": round(per_second, 2),
        "cpu_ms": round(1000 * min(cpu_seconds) / len(names), 3),
    }
    print(f"{cell}: {row}", flush=True)
    if device.type == "cuda":
        row["peak_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    if cell.system == "recap":
        new = per_second * len(set(names)) / len(names) / len(first)  # batches like the first
        products = product_seconds(lambda: work(first), device)
        tflops = count_flops(lambda: work(first)) * new / 1e12
        row |= {"products_percent": round(100 * products * new, 1), "tflops": round(tflops, 4)}
        row["peak_percent"] = round(100 * tflops / peaks[cell.dtype], 1)
    return row, captions


def same_percent(captions: Captions, earlier: Captions) -> dict[str, float]:
    """The share of pictures whose captions another batch size gave, too; of systems whose captions can be the same."""
    known = captions.keys() & earlier.keys()
    same = sum(captions[name] == earlier[name] for name in known)
    return {"same_percent": round(100 * same / len(known), 2)} if known else {}


def compare(rows: Sequence[dict[str, Any]]) -> None:
    """How many times Recap is better than the best line of the others with the same task, at whatever batch size."""
    for row in rows:
        rivals = [
            other
            for other in rows
            if other["system"] != "recap" and "cpu_ms" in other and all(other[name] == row[name] for name in SAME_TASK)
        ]
        if row["system"] == "recap" and "cpu_ms" in row and rivals:
            row["times"] = round(row["images_per_second"] / max(other["images_per_second"] for other in rivals), 2)
            row["times_cpu"] = round(min(other["cpu_ms"] for other in rivals) / row["cpu_ms"], 2)


def picture_files(root: Path, count: int, args: argparse.Namespace) -> list[str]:
    """Files of different bytes: a corpus's or folder's, over and over where they are fewer, or made ones."""
    if args.random:
        random_pictures(root / "made", 64)
        found = root / "made"
    else:
        found = args.images
    index = index_of(found)
    names = index.names if index is not None else [str(path) for path in sorted(found.rglob("*"))]
    if not (names := [name for name in names if Path(name).suffix.lower() in SUFFIXES]):
        raise UserError(f"{found}: expected images ({', '.join(sorted(SUFFIXES))}), found none; see --images")
    files = []
    for number in range(count):
        name = names[number % len(names)]
        content = stored_image(index, name) if index is not None else Path(name).read_bytes()
        files.append(f"{number:06d}{Path(name).suffix}")
        # What follows a picture's end is not looked at: the same picture, but none that was seen before.
        (root / files[-1]).write_bytes(content + str(number).encode())
    return files


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def accelerator(device: torch.device) -> dict[str, Any]:
    """What it ran on."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {**hardware(), "gpu": gpu, "torch_threads": torch.get_num_threads()}


def described(args: argparse.Namespace, peaks: dict[str, float]) -> dict[str, Any]:
    """What was asked for, and by which versions it was answered."""
    versions = {}
    for name in ("torch", "transformers", "py-data-juicer", "pillow"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    asked = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    return {**asked, "peak_tflops": {name: round(value, 3) for name, value in peaks.items()}, "versions": versions}


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    run(main)

"""Rows per second and peak memory of the stages that read a corpus, at several sizes.

    python bench/corpus.py --rows 25000 100000

Makes a user's folder of captions and JPEG files, runs `prepare`, `explore` and `process` on it as DVC would, but
without DVC's own hashing, and prints a table. bench/README.md explains the columns.
"""

import argparse
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tables import print_table
from tqdm import tqdm

from recap.data.corpus.index import INDEX, index_rows
from recap.io import write_json, write_jsonl
from recap.params import read_yaml
from recap.runtime.stage import run
from recap.runtime.timing import hardware

ROOT = Path(__file__).parent.parent
STAGES = ("prepare", "explore", "process")
COLUMNS = ("stage", "rows", "seconds", "rows_per_second", "peak_mib", "time_growth", "memory_growth")
# What captions are made of.
WORDS = Path(__file__).read_text(encoding="utf-8").split()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[25_000, 100_000])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "filtered.yaml")
    parser.add_argument("--side", type=int, default=224, help="pixels of a picture's side")
    parser.add_argument("--output", type=Path, default=Path("bench/results/corpus.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rows: list[dict[str, Any]] = []
    for count in args.rows:
        with tempfile.TemporaryDirectory(prefix="recap-bench-") as folder:
            rows += measured_stages(Path(folder), count, args)
    add_growth(rows)
    print_table(COLUMNS, rows)
    versions = {name: version(name) for name in ("pillow", "pyarrow", "py-data-juicer")}
    setting = {"side_px": args.side, "recipe": args.recipe.stem, "versions": versions}
    write_json(args.output, {"hardware": hardware(), "setting": setting, "rows": rows})
    print(f"\n{args.output}")


def measured_stages(folder: Path, count: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per stage, each on what the one before it left."""
    lay_out(folder, count, args.side)
    values = {"data.source": "source", "recipe": str(args.recipe.absolute().with_suffix(""))}
    for stage in STAGES[: 1 + max(map(STAGES.index, args.stages))]:
        command = command_of(stage, values)
        seconds, peak = timed(command, folder)
        if stage == "prepare":
            write_raw_captions(folder / "data")
        if stage in args.stages:
            rate = round(count / seconds)
            yield {
                "stage": stage,
                "rows": count,
                "seconds": round(seconds, 1),
                "rows_per_second": rate,
                "peak_mib": round(peak),
            }


def add_growth(rows: list[dict[str, Any]]) -> None:
    """By how much time and memory grew from a stage's size before, for each time that the rows did: 1 is linear."""
    before: dict[str, dict[str, Any]] = {}
    for row in rows:
        if (last := before.get(row["stage"])) is not None:
            times = row["rows"] / last["rows"]
            row["time_growth"] = round(row["seconds"] / last["seconds"] / times, 2)
            row["memory_growth"] = round(row["peak_mib"] / last["peak_mib"] / times, 2)
        before[row["stage"]] = row


def lay_out(folder: Path, count: int, side: int) -> None:
    """A project folder whose `source` is a corpus of so many rows."""
    write_source(folder / "source", count, side)
    (folder / "models").mkdir()
    for name in ("src", "worlds", "models/tiny", "configs"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    (folder / "captions.jsonl").touch()


def command_of(stage: str, values: dict[str, str]) -> list[str]:
    """A stage's command in dvc.yaml, with the parameters that it names."""
    command: str = read_yaml(ROOT / "dvc.yaml")["stages"][stage]["cmd"]
    for name, value in values.items():
        command = command.replace(f"${{{name}}}", value)
    words = shlex.split(command.replace("recipes/" + values["recipe"], values["recipe"]))
    words = ["captions.jsonl" if word == "data/captions.jsonl" else word for word in words]
    return [sys.executable, str(ROOT / words[1]), *words[2:]]


def write_raw_captions(data: Path) -> None:
    """`raw_captions.jsonl` as `align@raw` leaves it where there is no aligner."""
    rows = index_rows(data / "corpus" / INDEX, ["id", "image", "caption"])
    write_jsonl(data / "raw_captions.jsonl", ({**row, "alignment": None} for row in rows))


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds of a command, and the peak memory in MiB of its largest process."""
    start = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{(folder / 'log').read_text()[-3000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def write_source(folder: Path, count: int, side: int) -> None:
    """`train.jsonl` and pictures: 500 different ones, each made a file of its own by a comment."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    pictures = [jpeg(rng, side) for _ in range(500)]
    with (folder / "train.jsonl").open("w", encoding="utf-8") as rows:
        for number in tqdm(range(count), desc=f"{count} rows", unit="row"):
            picture = pictures[number % len(pictures)]
            comment = b"\xff\xfe\x00\x0a" + f"{number:08d}".encode()
            (folder / f"images/{number:06d}.jpg").write_bytes(picture[:2] + comment + picture[2:])
            caption = " ".join(rng.choice(WORDS, rng.integers(1, 16)))
            rows.write(json.dumps({"id": str(number), "caption": caption, "image": f"images/{number:06d}.jpg"}) + "\n")


def jpeg(rng: np.random.Generator, side: int) -> bytes:
    """Smooth patches of colour under fine noise."""
    patches = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(patches.resize((side, side), Image.Resampling.BICUBIC), np.float64)
    stream = io.BytesIO()
    grained = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(grained).save(stream, "JPEG", quality=85)
    return stream.getvalue()


if __name__ == "__main__":
    run(main)

"""`python -m recap.experiments.sharing.sizes baseline blip2`: how many files and bytes `make share` pushes, by stage.

As dvc.lock says; without names, of the one in the workspace. A file that two runs have in common is pushed once, and a
folder's list is a file more. Checkpoints, drafts, the caption store and the pretrained models are no outputs of a
stage, so that they never go. With --rows, what a run of such a size would be: pictures by their number and size, text
by what a row of dvc.lock's run has, models by the sizes of a parameter file.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.experiments.sharing.objects import is_pushed, maker_of
from recap.params import PARAMS_PATH
from recap.runtime.errors import UserError
from recap.runtime.stage import run

MB = 10**6
FUNNEL = Path("plots/process/funnel.csv")


@dataclass(frozen=True)
class Size:
    """What an output is.

    Attributes:
        stage: That makes it.
        path: From the project's root.
        oid: Its MD5.
        files: One, or those in a folder.
        bytes: Of all of them.
        in_git: Whether Git has it, so that the remote has it for the run-cache alone.
    """

    stage: str
    path: str
    oid: str
    files: int
    bytes: int
    in_git: bool

    @property
    def objects(self) -> int:
        """Files in the remote: a folder's list is one."""
        return self.files + self.oid.endswith(".dir")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.sharing.sizes", description=__doc__)
    parser.add_argument("names", nargs="*", help="experiments; the workspace's dvc.lock without")
    estimate = parser.add_argument_group("the estimate of another run")
    estimate.add_argument("--rows", type=int, help="of its corpus")
    estimate.add_argument("--finetune-rows", type=int, default=240_000, help="conversations (%(default)s)")
    estimate.add_argument("--picture-kb", type=float, default=60.0, help="of a picture, in 1000 bytes (%(default)s)")
    estimate.add_argument("--params", type=Path, default=PARAMS_PATH, help="whose models (%(default)s)")
    args = parser.parse_args()

    from dvc.repo import Repo

    with Repo() as repo:
        found = list(distinct(size for name in args.names or ["workspace"] for size in sizes_of(repo, name)))
    if args.rows is None:
        print(table(found))
        return
    from recap.experiments.sharing.estimate import estimate_run, estimate_table

    parts = estimate_run(
        found, _corpus_rows(), args.params,
        rows=args.rows, finetune_rows=args.finetune_rows, picture_bytes=args.picture_kb * 1000,
    )  # fmt: skip
    print(estimate_table(parts))


def sizes_of(repo: Any, revision: str) -> list[Size]:
    """The outputs of a run, as its dvc.lock has them.

    Args:
        repo: The `dvc.repo.Repo`.
        revision: An experiment, a commit, or "workspace".
    """
    with repo.switch(revision):
        return [
            Size(
                maker_of(repo, out), repo.fs.relpath(out.fs_path, repo.root_dir), out.hash_info.value,
                out.meta.nfiles or 1, out.meta.size or 0, not out.use_cache,
            )
            for out in repo.index.outs
            if is_pushed(out)
        ]  # fmt: skip


def distinct(sizes: Iterable[Size]) -> Iterable[Size]:
    """Each content once."""
    seen = set()
    for size in sizes:
        if size.oid not in seen:
            seen.add(size.oid)
            yield size


def table(sizes: Sequence[Size]) -> str:
    """A line per stage, in the order in which they first come, and one for all."""
    stages = dict.fromkeys(size.stage for size in sizes)
    lines = [f"{'stage':<16} {'files':>6} {'MB':>9}   {'of them in Git':>14} {'MB':>7}"]
    for name in (*stages, "together"):
        own = [size for size in sizes if name in (size.stage, "together")]
        kept = [size for size in own if size.in_git]
        lines.append(
            f"{name:<16} {sum(size.objects for size in own):>6} {_bytes(own) / MB:>9.2f}   "
            f"{sum(size.objects for size in kept):>14} {_bytes(kept) / MB:>7.2f}"
        )
    return "\n".join(lines)


def _corpus_rows() -> int:
    """Rows of the corpus of the workspace's run."""
    if not FUNNEL.is_file():
        raise UserError(f"{FUNNEL}: expected the rows of a run that ended, found no such file; make")
    with FUNNEL.open(encoding="utf-8") as stream:
        return int(next(csv.DictReader(stream))["rows"])


def _bytes(sizes: Iterable[Size]) -> int:
    return sum(size.bytes for size in sizes)


if __name__ == "__main__":
    run(main)

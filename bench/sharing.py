"""What DVC has to do for a corpus of some size: files that it pushes, and seconds of a `dvc repro` with nothing to do.

    python bench/sharing.py --rows 100000

Makes a corpus of loose files and a project of its own, runs `prepare` and `explore` on it, pushes to a local folder,
and asks `dvc repro` again. Then the same with the corpus exported as WebDataset, and there with the whole pipeline
too, at the size of profiles/smoke.yaml with captions of two words. bench/README.md explains the columns.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from corpus import ROOT, write_source
from ruamel.yaml import YAML
from tables import print_table

from recap.io import write_json
from recap.params import read_yaml
from recap.runtime.stage import run
from recap.runtime.timing import hardware

COLUMNS = ("source", "stages", "source_files", "corpus_files", "pushed_files", "pushed_mib", "repro_s", "noop_s")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=224, help="pixels of a picture's side")
    parser.add_argument("--output", type=Path, default=Path("bench/results/sharing.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(prefix="recap-bench-") as name:
        project = Project(Path(name) / "project")
        write_source(project.root / "loose", args.rows, args.side)
        rows = [project.measured("loose files", "loose", "explore")]
        project.call(
            sys.executable,
            "-m",
            "recap.data.export",
            "--to",
            "webdataset",
            "tars",
            "--rows",
            "data/corpus/index.parquet",
        )
        rows += [project.measured("WebDataset", "tars", *target) for target in (["explore"], [])]
    print_table(COLUMNS, rows)
    write_json(
        args.output, {"hardware": hardware(), "setting": {"rows": args.rows, "side_px": args.side}, "rows": rows}
    )
    print(f"\n{args.output}")


class Project:
    """A clone of the commit that is checked out, at smoke scale."""

    def __init__(self, root: Path) -> None:
        self.root = root
        subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)

    def measured(self, kind: str, source: str, *target: str) -> dict[str, Any]:
        """Run everything on a source, or all up to a stage, push it to an empty remote, and run nothing."""
        params = read_yaml(self.root / "profiles/smoke.yaml")
        params["data"]["source"] = source
        params["recipe"] = "filtered"
        params["caption"]["max_new_tokens"] = 2
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(params, file)
        repro = self.dvc("repro", *target)
        remote = self.root / "remotes" / f"{source}-{len(target)}"
        self.dvc("remote", "add", "--force", "--default", "bench", str(remote))
        self.dvc("push", *(["prepare", *target] if target else []))
        pushed = [path for path in remote.rglob("*") if path.is_file()]
        row = {
            "source": kind,
            "stages": f"up to {target[0]}" if target else "all",
            "source_files": sum(path.is_file() for path in (self.root / source).rglob("*")),
            "corpus_files": sum(path.is_file() for path in (self.root / "data/corpus").rglob("*")),
            "pushed_files": len(pushed),
            "pushed_mib": round(sum(path.stat().st_size for path in pushed) / 2**20),
            "repro_s": round(repro),
            "noop_s": round(min(self.dvc("repro", *target) for _ in range(3)), 1),
        }
        print(row, flush=True)
        return row

    def dvc(self, *arguments: str) -> float:
        """Seconds of a DVC command."""
        start = time.perf_counter()
        self.call(sys.executable, "-m", "dvc", *arguments)
        return time.perf_counter() - start

    def call(self, *command: str) -> None:
        environment = os.environ | {
            "PYTHONPATH": str(self.root / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    run(main)

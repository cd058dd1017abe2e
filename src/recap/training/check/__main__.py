"""Say of a model folder whether it is whole, in one table.

    python -m recap.training.check models/merged
    python -m recap.training.check models/adapter --base models/merged

It knows a merged model, an adapter, a projector, and what the original MGM writes of each, sharded or not. Of a folder
in the original's layout the last rows tell what the original's own loaders would make of it.
"""

import argparse
import sys
from pathlib import Path

from recap.runtime.stage import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recap.training.check",
        description="Say of a model folder whether it is whole: files, config, tensors, loads, generates. "
        "Exits with 1 on a fault.",
    )
    parser.add_argument("folder", metavar="PATH", type=Path, help="adapter, merged model, projector, or the original's")
    parser.add_argument(
        "--base", type=Path, help="model that an adapter or a projector is put on, to load and generate"
    )
    parser.add_argument(
        "--for-original", action="store_true", help="what only the original's own loaders stumble over is a fault too"
    )
    args = parser.parse_args()

    from recap.training.check.findings import is_fault, table
    from recap.training.check.kinds import check_folder

    kind, findings = check_folder(args.folder, args.base)
    print(f"{args.folder}: {kind}")
    print(table(findings, for_original=args.for_original))
    if any(is_fault(finding, for_original=args.for_original) for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    run(main)

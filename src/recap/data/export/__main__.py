"""Write the processed corpus, or any other of Recap's, in a format that other tools train from.

In: rows (data/processed/train.jsonl) and the folder of their pictures (data/corpus). Out: a new folder that is complete
in itself, and that Recap reads back with `data.source`.

    python -m recap.data.export --to llava exported
"""

import argparse
import logging
from pathlib import Path

from recap.runtime.stage import run

logger = logging.getLogger("export")

FORMATS = ("llava", "webdataset", "parquet", "data-juicer")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m recap.data.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to write; it must not hold anything yet")
    parser.add_argument("--to", choices=FORMATS, required=True, help="format")
    parser.add_argument(
        "--rows", type=Path, default="data/processed/train.jsonl", help="or data/corpus/index.parquet; %(default)s"
    )
    parser.add_argument("--images", type=Path, default="data/corpus", help="folder of the pictures; %(default)s")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from recap.data.export.exporting import export

    count = export(args.rows, args.images, args.output, args.to)
    logger.info("%s: %d pairs of %s as %s", args.output, count, args.rows, args.to)


if __name__ == "__main__":
    run(main)

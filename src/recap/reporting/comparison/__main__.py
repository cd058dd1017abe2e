"""`python -m recap.reporting.comparison A B`: the verdict on two sides as a page, `reports/<A>..<B>.html`.

A and B are experiment names, branches, tags or commits; several runs that differ only in their seed stand on one
side as a comma-separated list: `baseline,baseline-s43,baseline-s44 blip2,blip2-s43,blip2-s44`.
"""

import argparse
from pathlib import Path

from recap.runtime.stage import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m recap.reporting.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("A", help="the runs compared against, comma-separated")
    parser.add_argument("B", help="the runs that may be better")
    parser.add_argument("--force", action="store_true", help="compare what is not comparable; the page says so on top")
    parser.add_argument("--folder", type=Path, default=Path("reports"), help="where the page is written")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from recap.comparison.compare import compare, revision_names
    from recap.reporting.comparison.writing import write_page

    comparison = compare(revision_names(args.A), revision_names(args.B), force=args.force)
    print(f"page: {write_page(comparison.document, args.folder)}")


if __name__ == "__main__":
    run(main)

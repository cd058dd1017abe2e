"""`python -m recap.comparison A B`: is B better than A, worse, or can't one tell?

A and B are experiment names, branches, tags or commits; several runs of one recipe, one a training seed, are a
comma-separated list: `baseline,baseline-s43,baseline-s44 blip2,blip2-s43,blip2-s44`. Better and worse need at least
three seeds a side.
"""

import argparse
import sys
from pathlib import Path

from recap.comparison.compare import Comparison, compare, revision_names
from recap.comparison.markdown import comparison_markdown
from recap.comparison.printing import comparison_text
from recap.comparison.statistics import MIN_SEEDS
from recap.comparison.words import WORSE
from recap.io import write_json, write_text
from recap.runtime.stage import run

STDOUT = "-"
EXIT_WORSE = 3


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recap.comparison", description=__doc__)
    parser.add_argument("A", nargs="?", help="the runs compared against, comma-separated, one a training seed")
    parser.add_argument("B", nargs="?", help="the runs that may be better")
    parser.add_argument("--a", help="the same as A")
    parser.add_argument("--b", help="the same as B")
    parser.add_argument("--force", action="store_true", help="compare what is not comparable, and say why it is not")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the verdict to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write it as Markdown; - prints that instead")
    parser.add_argument(
        "--fail-on",
        choices=[WORSE],
        help=f"exit with {EXIT_WORSE} when any benchmark is worse; for CI. With fewer than {MIN_SEEDS} seeds a side "
        "nothing is judged, so nothing is worse: a line on stderr says so, and the exit code is 0",
    )
    args = parser.parse_args()
    args.a, args.b = args.a or args.A, args.b or args.B
    if not (args.a and args.b):
        parser.error("two sides are needed: python -m recap.comparison A B")
    return args


def main() -> None:
    args = parse_args()
    found = compare(revision_names(args.a), revision_names(args.b), force=args.force)
    print(comparison_markdown(found) if args.markdown == STDOUT else comparison_text(found))
    if args.markdown and args.markdown != STDOUT:
        write_text(args.markdown, comparison_markdown(found))
    if args.json:
        write_json(args.json, found.document)
    if args.fail_on:
        _fail_on_worse(found)


def _fail_on_worse(found: Comparison) -> None:
    if not found.document["judged"]:
        print(f"--fail-on {WORSE}: {found.document['not_judged_because']}, so nothing can fail", file=sys.stderr)
    if any(verdict.word == WORSE for verdict in found.verdicts):
        sys.exit(EXIT_WORSE)


if __name__ == "__main__":
    run(main)

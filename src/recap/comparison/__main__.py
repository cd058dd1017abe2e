"""`python -m recap.comparison A B`: is B better than A, worse, or can't one tell?

A and B are experiment names, branches, tags or commits. Several runs that differ only in their seed stand on one
side as a comma-separated list: `--a baseline,baseline-s2 --b blip2,blip2-s2`.
"""

import argparse
from pathlib import Path

from recap.comparison.printing import metrics_text, params_text, short, sides_text, verdict_text
from recap.comparison.revisions import changed_code, read_revision
from recap.comparison.verdict import Side, common_benchmarks, judge, make_side, params_that_differ, verdict_document
from recap.io import write_json
from recap.runtime.errors import UserError
from recap.runtime.stage import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recap.comparison", description=__doc__)
    parser.add_argument("A", nargs="?", help="the revision compared against")
    parser.add_argument("B", nargs="?", help="the revision that may be better")
    parser.add_argument("--a", help="runs of A, comma-separated, one a training seed")
    parser.add_argument("--b", help="runs of B, comma-separated")
    parser.add_argument("--json", type=Path, help="also write the verdict to this file")
    args = parser.parse_args()
    args.a, args.b = args.a or args.A, args.b or args.B
    if not (args.a and args.b):
        parser.error("two revisions are needed: python -m recap.comparison A B")
    return args


def main() -> None:
    args = parse_args()
    a, b = (make_side([read_revision(name) for name in names.split(",")]) for names in (args.a, args.b))
    _refuse_same_commit(a, b)
    differing = params_that_differ(a.runs[0], b.runs[0])
    print(sides_text(a, b), end="\n\n")
    print(params_text(differing, changed_code(a.runs[0], b.runs[0])), end="\n\n")
    print(metrics_text(a.runs[0].name, a.runs[0].metrics, b.runs[0].name, b.runs[0].metrics), end="\n\n")
    verdicts = judge(a, b)
    print(verdict_text(a, b, verdicts, common_benchmarks(a, b)[1]))
    if args.json:
        write_json(args.json, verdict_document(a, b, verdicts))


def _refuse_same_commit(a: Side, b: Side) -> None:
    shared = {short(run) for run in a.runs} & {short(run) for run in b.runs}
    if shared:
        raise UserError(f"{a.name} and {b.name} are the same commit ({min(shared)}), so there is nothing to compare")


if __name__ == "__main__":
    run(main)

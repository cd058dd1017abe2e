"""Look after the store of captions and alignment scores, also while a run writes to it.

    python -m recap.captioning.store list                        what there is: settings, counts, sizes, last used
    python -m recap.captioning.store export --kind caption       every caption, as JSON Lines or CSV
    python -m recap.captioning.store prune --unused-days 90      drop what no run has asked for lately
    python -m recap.captioning.store verify                      look for damage; exit code 1 where there is some

The store is `machine.store` of params.yaml, or --store. What is dropped is made anew when a run asks for it.
"""

import argparse
import csv
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from recap.io import atomic_path, defused
from recap.params import MACHINE, PARAMS_PATH, load_params
from recap.runtime.errors import UserError
from recap.runtime.stage import run
from recap.runtime.store import Store, store_path
from recap.runtime.upkeep import (
    Held,
    chosen,
    compact,
    drop,
    drop_items,
    inventory,
    results,
    structure_problems,
)

log = logging.getLogger(__name__)

DAY_S = 86400
# Digits of a digest that tell settings apart for a person.
SHORT = 12


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m recap.captioning.store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--store", type=Path, help="the file (default: machine.store of --params)")
    parser.add_argument("--params", type=Path, default=PARAMS_PATH)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="settings, how many results each has, their size, when last used")
    listing.set_defaults(work=list_settings)

    exporting = commands.add_parser("export", help="results of one kind, or of some settings, as JSON Lines or CSV")
    which = exporting.add_mutually_exclusive_group(required=True)
    which.add_argument("--kind", help="caption or alignment")
    which.add_argument("--settings", nargs="+", metavar="DIGEST", help="as `list` prints them; a beginning is enough")
    exporting.add_argument(
        "--format",
        choices=("jsonl", "csv"),
        default="jsonl",
        help="in CSV a text that a spreadsheet would compute (= + - @) begins with an apostrophe; JSON Lines is exact",
    )
    exporting.add_argument("--output", type=Path, help="a file (default: to the terminal)")
    exporting.set_defaults(work=export)

    pruning = commands.add_parser("prune", help="drop settings with their results, and give the space back")
    which = pruning.add_mutually_exclusive_group(required=True)
    which.add_argument("--settings", nargs="+", metavar="DIGEST", help="these")
    which.add_argument("--unused-days", type=float, metavar="DAYS", help="those that no run has used for so long")
    which.add_argument("--keep-last", type=int, metavar="N", help="of each kind all but the N used last")
    pruning.add_argument("--dry-run", action="store_true", help="only say what would go")
    pruning.set_defaults(work=prune)

    verifying = commands.add_parser("verify", help="check the file and every result; exit code 1 on damage")
    verifying.add_argument(
        "--repair", action="store_true", help="drop damaged results: they are made anew when asked for"
    )
    verifying.set_defaults(work=verify)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    path = args.store or store_path(load_params(MACHINE, args.params).store)
    with Store(path, new=False) as store:
        args.work(store, args)


def list_settings(store: Store, args: argparse.Namespace) -> None:
    held = inventory(store)
    print(f"{store.path}: {len(held)} settings, {sum(h.results for h in held)} results, {_size(store)}")
    for settings in held:
        print(f"\n{_line(settings)}\n  {json.dumps(settings.description, ensure_ascii=False, sort_keys=True)}")


def export(store: Store, args: argparse.Namespace) -> None:
    held = inventory(store)
    settings = chosen(held, args.settings) if args.settings else [h for h in held if h.kind == args.kind]
    if not settings:
        kinds = ", ".join(sorted({h.kind for h in held})) or "none"
        raise UserError(f"--kind {args.kind}: expected a kind of {store.path}, which has {kinds}")
    with _output(args.output) as stream:
        write = _write_csv if args.format == "csv" else _write_jsonl
        count = write(stream, _exported(store, settings))
    log.info("%d results of %d settings%s", count, len(settings), f" in {args.output}" if args.output else "")


def prune(store: Store, args: argparse.Namespace) -> None:
    going = _going(inventory(store), args)
    for settings in going:
        print(f"{'would drop' if args.dry_run else 'drop'} {_line(settings)}")
        if not args.dry_run:
            drop(store, settings)
    if not going:
        print("nothing to drop")
    elif not args.dry_run:
        compact(store)
        print(f"{store.path}: {_size(store)}")


def verify(store: Store, args: argparse.Namespace) -> None:
    problems = structure_problems(store)
    for problem in problems:
        print(f"damaged: {problem}")
    damaged = 0
    for settings in inventory(store):
        items = [result.item for result in results(store, settings) if result.is_damaged]
        for item in items:
            print(f"damaged: {settings.kind} of {item} under {settings.digest[:SHORT]}")
        if args.repair:
            drop_items(store, settings, items)
        damaged += len(items)
    if problems:
        raise UserError(
            f"{store.path}: expected a sound SQLite file, found {len(problems)} problem(s) of the file itself; "
            "`export` what can still be read, then put a copy in its place or move it away: results are made anew"
        )
    if damaged and not args.repair:
        raise UserError(
            f"{store.path}: expected sound results, found {damaged} damaged ones; `verify --repair` drops them"
        )
    print(f"{store.path}: sound" + (f", after {damaged} damaged results were dropped" if damaged else ""))


def _going(held: list[Held], args: argparse.Namespace) -> list[Held]:
    """What `prune` drops."""
    if args.settings:
        return chosen(held, args.settings)
    if args.unused_days is not None:
        if not args.unused_days >= 0:
            raise UserError(f"--unused-days: expected a number from 0 on, found {args.unused_days:g}")
        return [settings for settings in held if settings.used < time.time() - args.unused_days * DAY_S]
    if args.keep_last < 0:
        raise UserError(f"--keep-last: expected a number from 0 on, found {args.keep_last}")
    by_kind: dict[str, list[Held]] = {}
    for settings in held:  # the last used first
        by_kind.setdefault(settings.kind, []).append(settings)
    return [settings for same_kind in by_kind.values() for settings in same_kind[args.keep_last :]]


def _exported(store: Store, settings: list[Held]) -> Iterator[dict[str, Any]]:
    for setting in settings:
        for result in results(store, setting):
            value = json.loads(result.value)
            yield {"kind": setting.kind, "settings": setting.digest, "item": result.item, "value": value}


def _write_jsonl(stream: TextIO, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    for row in rows:
        stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _write_csv(stream: TextIO, rows: Iterator[dict[str, Any]]) -> int:
    """A line per candidate: a result that is a list takes several, an object's values have columns of their own.

    A text that a spreadsheet would compute begins with an apostrophe (`recap.io.defused`); JSON Lines has it as it is.
    """
    count = 0
    writer: Any = None
    for row in rows:
        value = row.pop("value")
        for part in value if isinstance(value, list) else [value]:
            line = row | (part if isinstance(part, dict) else {"value": part})
            if writer is None:
                writer = csv.DictWriter(stream, list(line), extrasaction="ignore")
                writer.writeheader()
            writer.writerow({name: defused(cell) if isinstance(cell, str) else cell for name, cell in line.items()})
        count += 1
    return count


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    with atomic_path(path) if path else nullcontext(None) as draft:
        if draft is None:
            try:
                yield sys.stdout
                sys.stdout.flush()
            except BrokenPipeError:
                # Whoever reads, such as `head`, has seen enough; what Python flushes at its end goes nowhere.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(0)
        else:
            with draft.open("w", encoding="utf-8", newline="") as stream:
                yield stream


def _line(settings: Held) -> str:
    used = f"{datetime.fromtimestamp(settings.used):%Y-%m-%d %H:%M}"
    return (
        f"{settings.digest[:SHORT]} {settings.kind}: {settings.results} results, {_bytes(settings.size)}, used {used}"
    )


def _size(store: Store) -> str:
    return _bytes(store.path.stat().st_size)


def _bytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


if __name__ == "__main__":
    run(main)

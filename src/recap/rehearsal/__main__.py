"""Rehearse a run before it costs anything: will it fit, and how long will it take?

    python -m recap.rehearsal --params profiles/mgm-2b.yaml

Counts the peak memory of every stage that computes, by part, without weights and without a GPU, in about a minute.
Exit code 1 when `machine.memory_gb` is exceeded.
"""

import argparse
from pathlib import Path

from recap.params import PARAMS_PATH
from recap.runtime.errors import UserError
from recap.runtime.stage import run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m recap.rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=PARAMS_PATH, help="parameter file (default: %(default)s)")
    parser.add_argument("--own-settings", action="store_true", help="only the profile's settings, no others")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from recap.rehearsal.budget import GIB, usable
    from recap.rehearsal.profile import Profile
    from recap.rehearsal.report import heading, over_budget, own_counts, settings, table

    profile = Profile.read(args.params)
    print(heading(profile), flush=True)
    own = list(own_counts(profile))
    print(f"\n{table(own)}", flush=True)
    if not args.own_settings:
        for stage in ("pretrain", "finetune"):
            print(f"\n{table(list(settings(profile, stage)))}", flush=True)
    if exceeding := over_budget(profile, own):
        memory_gb = profile.params.machine.memory_gb
        found = "; ".join(f"{count.stage} with {count.setting}: {count.total / GIB:.1f}" for count in exceeding)
        raise UserError(
            f"{args.params}: expected every stage within the {usable(memory_gb) / GIB:.1f} GiB that "
            f"machine.memory_gb={memory_gb:g} leaves for tensors, found {found}; lower the batch sizes in section machine"
        )


if __name__ == "__main__":
    run(main)

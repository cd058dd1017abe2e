"""Rehearse a run before it costs anything: will it fit, and how long will it take?

    python -m recap.rehearsal --params profiles/mgm-2b.yaml

Counts the peak memory of every stage that computes, by part, without weights and without a GPU, in about a minute.
Exit code 1 when `machine.memory_gb` is exceeded. With --real, runs steps of each stage on this machine, at the real
sizes with random weights, and predicts hours.
"""

import argparse
from pathlib import Path

from recap.params import PARAMS_PATH
from recap.runtime.errors import UserError
from recap.runtime.stage import run

STAGES = ("pretrain", "finetune", "merge", "caption", "answer")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m recap.rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=PARAMS_PATH, help="parameter file (default: %(default)s)")
    parser.add_argument("--own-settings", action="store_true", help="count only the profile's settings, no others")
    real = parser.add_argument_group("with --real")
    real.add_argument("--real", action="store_true", help="run steps on this machine")
    real.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="default: all")
    real.add_argument("--rows", type=int, help="samples, images, questions at a time, in place of the profile's sizes")
    real.add_argument(
        "--checkpointing", action=argparse.BooleanOptionalAction, help="in place of machine.gradient_checkpointing"
    )
    real.add_argument("--repeats", type=int, default=2, help="runs of each piece; the fastest counts (%(default)s)")
    real.add_argument("--new-tokens", type=int, default=8, help="tokens of an answer, at least 2 (%(default)s)")
    real.add_argument("--dtype", help="float32, bfloat16, float16, in place of device.dtype")
    args = parser.parse_args()
    if args.new_tokens < 2:
        parser.error(f"--new-tokens: expected at least 2, found {args.new_tokens}")
    return args


def main() -> None:
    args = parse_args()
    if args.real:
        run_steps(args)
    else:
        count_memory(args)


def count_memory(args: argparse.Namespace) -> None:
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
            f"{args.params}: expected every stage within the {usable(memory_gb) / GIB:.1f} GiB that machine.memory_gb="
            f"{memory_gb:g} leaves for tensors, found {found}; lower the batch sizes in section machine"
        )


def run_steps(args: argparse.Namespace) -> None:
    from recap.models.loading import pick_device, pick_dtype
    from recap.params import load_params
    from recap.rehearsal.profile import Profile
    from recap.rehearsal.real import Rehearsal, heading, line

    compute = load_params("device", args.params)
    device = pick_device(compute.device)
    profile = Profile.read(args.params, pick_dtype(args.dtype or compute.dtype, device))
    rehearsal = Rehearsal(
        profile,
        device,
        rows=args.rows,
        checkpointing=args.checkpointing,
        repeats=args.repeats,
        new_tokens=args.new_tokens,
    )
    print(heading(device, profile.dtype), flush=True)
    for rehearsed in rehearsal.run(args.stages):
        print(line(rehearsed), flush=True)


if __name__ == "__main__":
    run(main)

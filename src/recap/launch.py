"""Start a stage in as many processes as `machine` of the parameter file says: one that trains, or `caption`.

`python -m recap.launch stages/finetune.py ...` is the whole command in dvc.yaml, whatever the launcher:

- plain: this process becomes the stage; so it does wherever one process is all.
- torchrun: one process per GPU, or as many as `machine.processes` says, started and watched by PyTorch's own launcher.
- deepspeed: the same, with the ZeRO configuration `machine.deepspeed`. DeepSpeed's launcher is not used: it answers a
  SIGTERM with an interrupt and kills a moment later, so that no rank could save, and it sets nothing that torchrun
  does not.

More hosts than one: docs/TRAINING.md. A training stage that is ended by SIGTERM saves first; the exit code is 143 then.
"""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from recap.params import MACHINE, PARAMS_PATH, DeviceParams, MachineParams, load_params
from recap.runtime.errors import UserError
from recap.runtime.ranks import LAUNCHER_PID, TERMINATED
from recap.runtime.stage import end_here, run
from recap.training.batches import batch_plan, processes_to_start

TRAINING_STAGES = ("pretrain", "finetune")
STAGES = (*TRAINING_STAGES, "caption")
# Until the ranks are killed that a SIGTERM asked to save: a step of a large batch may take minutes.
SAVING_S = 600


def main() -> None:
    parser = argparse.ArgumentParser(description="Start a stage as `machine` of its parameter file says.")
    parser.add_argument("script", help="stages/pretrain.py, stages/finetune.py or stages/caption.py")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="of the stage")
    args = parser.parse_args()
    stage = Path(args.script).stem
    if stage not in STAGES:
        raise UserError(f"{args.script}: expected a stage for several processes, {', '.join(STAGES)}, found another")
    params_file = _params_file(args.flags)
    machine: MachineParams = load_params(MACHINE, params_file)
    here = processes(machine, load_params("device", params_file))
    if stage in TRAINING_STAGES:
        _check_batch(stage, params_file, here * _hosts())
        _check_deepspeed(machine)
    if here * _hosts() == 1:
        os.execv(sys.executable, [sys.executable, args.script, *args.flags])
    sys.exit(_torchrun(here, [args.script, *args.flags]))


def _params_file(flags: list[str]) -> Path:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--params", type=Path, default=PARAMS_PATH)
    return parser.parse_known_args(flags)[0].params


def processes(machine: MachineParams, device: DeviceParams) -> int:
    """`processes_to_start`, of this host.

    Raises:
        UserError: The launcher cannot start so many, there are fewer GPUs, or deepspeed has no configuration.
    """
    if machine.launcher == "deepspeed" and machine.deepspeed is None:
        raise UserError(
            "machine.deepspeed: expected a ZeRO configuration, as machine.launcher is deepspeed, found nothing; "
            "see configs/deepspeed/"
        )
    if machine.launcher == "plain":
        if "PET_NNODES" in os.environ:
            raise UserError(
                "PET_NNODES: expected machine.launcher torchrun or deepspeed for several hosts, found plain"
            )
        if machine.processes not in ("auto", 1):
            raise UserError(
                f"machine.processes: expected 1 or auto, as machine.launcher is plain, found {machine.processes}; "
                "set machine.launcher to torchrun or deepspeed"
            )
        return 1
    import torch

    gpus = torch.cuda.device_count() if device.device != "cpu" else 0
    here = processes_to_start(machine, gpus)
    if 0 < gpus < here:
        raise UserError(f"machine.processes: expected at most the {gpus} visible GPU(s), found {here}")
    return here


def _hosts() -> int:
    """Hosts of this launch, by torchrun's own variable."""
    return int(os.environ.get("PET_NNODES", "1").split(":")[-1])


def _check_batch(stage: str, params_file: Path, world_size: int) -> None:
    """Refuse a batch that cannot be cut before anything starts, and once instead of in every process."""
    machine = load_params(MACHINE, params_file)
    batch_plan(
        load_params(stage, params_file).global_batch_size, getattr(machine, f"{stage}_micro_batch_size"), world_size
    )


def _check_deepspeed(machine: MachineParams) -> None:
    """Refuse a file that DeepSpeed could not use, likewise."""
    if machine.deepspeed is not None:
        from recap.training.zero import read_zero_config

        read_zero_config(machine.deepspeed)


def _torchrun(here: int, command: list[str]) -> int:
    """Run `command` in several processes; returns the exit code of the one that failed first, or 0."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.run").setLevel(logging.ERROR)
    os.environ[LAUNCHER_PID] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // here)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SAVING_S))
    where = [] if "PET_NNODES" in os.environ else ["--standalone"]
    # One SIGTERM asks the ranks to save. More of them, as when dvc is ended beside its stage, would cut that short.
    where += ["--signals-to-handle", "SIGINT,SIGHUP,SIGQUIT"]

    def shut_down(*_: Any) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SignalException("SIGTERM", signal.SIGTERM)

    signal.signal(signal.SIGTERM, shut_down)
    try:
        torchrun.run(torchrun.parse_args([*where, "--nproc-per-node", str(here), *command]))
    except SignalException:
        # torchrun leaves the thread that tells its store that this host is alive.
        end_here(TERMINATED)
    except ChildFailedError as failed:
        _, failure = failed.get_first_failure()
        if failure.exitcode >= 0:
            return failure.exitcode
        if failure.exitcode != -signal.SIGTERM:
            # It could say nothing itself, and the first one's progress bar has left its line open.
            number = -failure.exitcode
            print(
                f"\nerror: process {failure.local_rank} of {here} was ended by signal {number} "
                f"({signal.strsignal(number)}); the same command goes on from what is kept",
                file=sys.stderr,
            )
        return 128 - failure.exitcode
    return 0


if __name__ == "__main__":
    run(main)

"""The curves of a run for `dvc plots`: loss, gradient norm, learning rate and held-out loss by step, by DVCLive.

They grow in the scratch folder while the run goes on, and are copied to the declared output when it has ended. A kill
would leave a torn or doubled history in them; the Trainer's, which travels inside its checkpoints, is whole however
often the run was killed. So a run that starts or goes on writes the folder anew from that history.
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvclive import Live
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from recap.io import atomic_path

CURVES = ("loss", "grad_norm", "learning_rate")
VALIDATION_CURVES = ("val_loss",)

logger = logging.getLogger(__name__)


class LiveCurves(TrainerCallback):
    """Writes `<work>/dvclive/plots/metrics/<curve>.tsv` after every step; one process of a launch does.

    `work` is a folder that Git ignores: DVCLive stages untracked files of its own folder during `dvc exp run`.
    """

    def __init__(self, work: Path) -> None:
        self.folder = work / "dvclive"
        self.live: Live | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        self.live = Live(str(self.folder), dvcyaml=False, save_dvc_exp=False)
        for entry in state.log_history:
            self._write(int(entry["step"]), entry)
        logger.info("curves so far: tail -f %s", _metrics(self.folder) / "loss.tsv")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        self._write(state.global_step, logs or {})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.live is not None:
            self.live.end()
            self.live = None

    def _write(self, step: int, values: dict[str, float]) -> None:
        if self.live is not None:
            self.live.step = step
            for name in (*CURVES, *VALIDATION_CURVES):
                if name in values:
                    self.live.log_metric(name, values[name])


def publish_curves(folder: str | Path, *, work: Path, names: Sequence[str] = CURVES) -> None:
    """Copy a finished run's curves: `<folder>/<name>.tsv`, with the columns `step` and `name`.

    Args:
        folder: The declared output; replaced as a whole.
        work: See `LiveCurves`.
        names: The curves that the stage declares; one without a point is a header alone.
    """
    with atomic_path(folder) as draft:
        shutil.copytree(_metrics(work / "dvclive"), draft)
        for name in names:
            if not (draft / f"{name}.tsv").exists():
                (draft / f"{name}.tsv").write_text(f"step\t{name}\n", encoding="utf-8")


def _metrics(folder: Path) -> Path:
    return folder / "plots" / "metrics"

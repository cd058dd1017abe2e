"""The curves of a run for `dvc plots`: loss, gradient norm and learning rate of every optimizer step, by DVCLive.

The Trainer's history travels inside its checkpoints, so it is whole however often the run was killed. It is
played to DVCLive once, at the end; DVCLive's own folder would otherwise hold a torn or doubled history after a kill.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from dvclive import Live

from recap.io import atomic_path

CURVES = ("loss", "grad_norm", "learning_rate")


def publish_curves(history: Sequence[dict[str, float]], folder: str | Path, *, work: Path) -> None:
    """Write `<folder>/{loss,grad_norm,learning_rate}.tsv`, each with the columns `step` and its own name.

    Args:
        history: One dict per step with "step" and the three values.
        folder: The declared output; replaced as a whole.
        work: A folder that Git ignores: DVCLive stages untracked files of its own folder during `dvc exp run`.
    """
    with Live(str(work / "dvclive"), dvcyaml=False, save_dvc_exp=False) as live:
        for entry in history:
            live.step = int(entry["step"])
            for name in CURVES:
                live.log_metric(name, entry[name])
    with atomic_path(folder) as draft:
        shutil.copytree(Path(live.plots_dir) / "metrics", draft)

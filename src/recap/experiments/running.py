"""Run one DVC experiment so that nothing is lost: the one it replaces goes when its successor is there."""

import os
import subprocess
import sys
from dataclasses import dataclass

from recap.experiments.busy import refuse_beside_dvc
from recap.experiments.git import identity
from recap.experiments.refs import experiment_commit, remove_experiment, remove_unstarted, replace_experiment
from recap.runtime.errors import UserError


@dataclass(frozen=True)
class Run:
    """An experiment that is wanted: its name, the stem of its recipe's file, its training seed."""

    name: str
    recipe: str
    seed: int


def run_experiment(run: Run, baseline: str) -> None:
    """Run an experiment in the workspace.

    An experiment of the same commit and name is replaced, in one step, after the run succeeded; those of other
    commits are left alone.

    Args:
        run: What to run.
        baseline: The full hash of the commit that is checked out.

    Raises:
        UserError: Another DVC is at work here, or the run failed or was interrupted. What was there is still there.
    """
    refuse_beside_dvc()
    replaces = experiment_commit(baseline, run.name) is not None
    # `dvc exp run --force` would take over the name, but also run every stage again.
    name = f"{run.name}.new" if replaces else run.name
    if replaces and experiment_commit(baseline, name):
        remove_experiment(baseline, name)
    remove_unstarted((run.name, f"{run.name}.new"))
    overrides = [f"recipe={run.recipe}", f"seed={run.seed}"]
    command = ["exp", "run", "--name", name, *(word for each in overrides for word in ("--set-param", each))]
    print(
        f"\n== experiment {run.name}: dvc exp run -n {name} {' '.join(f'-S {each}' for each in overrides)}", flush=True
    )
    code = dvc(*command)
    if code:
        kept = f"; the experiment {run.name} that was there is untouched" if replaces else ""
        raise UserError(f"experiment {run.name} stopped with exit code {code}; its own message stands above{kept}")
    if experiment_commit(baseline, name) is None:
        raise UserError(f"experiment {run.name}: expected `dvc exp run` to leave an experiment {name}, found none")
    if replaces:
        replace_experiment(baseline, run.name, name)
        print(f"{name} is now {run.name}: it replaces the experiment of that name of this commit", flush=True)


def dvc(*arguments: str) -> int:
    """The exit code of a DVC command, which gets an identity to commit under and the terminal.

    Ctrl-C reaches DVC as well; DVC then puts HEAD back, so it is waited for.

    Raises:
        UserError: It was interrupted.
    """
    command, environment = [sys.executable, "-m", "dvc", *arguments], {**os.environ, **identity()}
    # It inherits the lock on the workspace.
    process = subprocess.Popen(command, env=environment, close_fds=False)
    interrupted = False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise UserError("interrupted; started again, it goes on from here")
    return code

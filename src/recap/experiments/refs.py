"""The experiments of one commit: DVC keeps each as the Git ref refs/exps/<commit it started from>/<name>.

A name is free again on every commit, and `dvc exp remove NAME` takes whichever commit's it finds first. Here
everything goes by the full ref, so that experiments of other commits are never touched.
"""

from collections.abc import Container

from recap.experiments.git import asked, git, resolved

# DVC's own: an experiment between `dvc exp run` and its first stage, and one that runs in the workspace.
NOTED, RUNNING = "refs/exps/stash", "refs/exps/exec/EXEC_BASELINE"


def experiment_ref(baseline: str, name: str) -> str:
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"


def experiment_commit(baseline: str, name: str) -> str | None:
    """The commit of the experiment `name` that started from the commit `baseline`; None if there is none."""
    return asked("show-ref", "--verify", "--hash", experiment_ref(baseline, name))


def remove_experiment(baseline: str, name: str) -> None:
    git("update-ref", "-d", experiment_ref(baseline, name))


def remove_unstarted(names: Container[str]) -> None:
    """Remove experiments that DVC noted and was killed before it started them: its next one would run them first."""
    if resolved(NOTED) is None:
        return
    from dvc.repo import Repo

    with Repo() as repo:
        stash = repo.experiments.workspace_queue.stash
        stash.remove_revs([entry for entry in stash.stash_revs.values() if entry.name in names])


def replace_experiment(baseline: str, name: str, successor: str) -> None:
    """Give the experiment `successor` the name `name`, in one transaction: there is always one of that name."""
    old, new = (experiment_ref(baseline, each) for each in (name, successor))
    commit = git("rev-parse", "--verify", new)
    git("update-ref", "--stdin", stdin=f"start\nupdate {old} {commit}\ndelete {new} {commit}\nprepare\ncommit\n")


def spoken_name(name: str, commit: str) -> str:
    """What to call an experiment in a command: its name, or its commit where the name means something else.

    A branch, a tag or a remote's branch of that name comes first for DVC; among experiments, the one of the
    commit that is checked out.
    """
    from dvc.repo import Repo
    from dvc.scm import SCMError, resolve_rev

    with Repo() as repo:
        try:
            meant = str(resolve_rev(repo.scm, name))
        except SCMError:
            meant = ""
    if meant == commit:
        return name
    short = git("rev-parse", "--short", commit)
    print(f"note: {name} is also the name of a branch or tag, which comes first; the experiment {name} is {short}")
    return short

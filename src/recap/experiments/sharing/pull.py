"""`python -m recap.experiments.sharing.pull baseline blip2`: get experiments that somebody shared, and their artifacts.

What `make pull` does: experiments from a Git remote, artifacts and run-cache from DVC's default remote, the last
experiment into the workspace, where `dvc repro` then has nothing to do. With `--scores`, `make pull-scores`, the
workspace stays as it is, and only what `make compare` reads of a run comes: scores, numbers, durations, the processed
rows, and its report. Pictures that a comparison's page shows are fetched one by one when it is made.
"""

import argparse
import os
from contextlib import nullcontext, suppress
from pathlib import PurePosixPath
from typing import Any

from recap.experiments.git import git, head_commit, identity, resolved
from recap.experiments.locked import locked_stages
from recap.experiments.refs import experiment_ref
from recap.experiments.reports import REPORT, save_report
from recap.experiments.sharing.arrived import check_arrived
from recap.experiments.sharing.destinations import check_remote, git_address
from recap.experiments.sharing.failures import explained
from recap.experiments.sharing.objects import objects_of, pull_objects
from recap.experiments.sharing.run_cache import pull_kept
from recap.experiments.workspace import alone, kept, restore_in_git
from recap.params import PARAMS_PATH
from recap.runtime.errors import UserError, one_line
from recap.runtime.stage import run

# Outputs of a run that a comparison reads; a folder stands for everything below it.
COMPARED = ("data/scores", "data/details", "data/timings", "data/processed", REPORT)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.sharing.pull", description=__doc__)
    parser.add_argument("names", nargs="+", help="experiments, as `dvc exp list origin` shows them")
    parser.add_argument("--scores", action="store_true", help="only what a comparison needs")
    parser.add_argument("--git-remote", default="origin", help="where the experiments are (origin)")
    parser.add_argument("--jobs", type=int, help="files at a time (DVC chooses)")
    args = parser.parse_args()

    from dvc.repo import Repo

    # A stage that runs meanwhile would find its outputs exchanged, and DVC would keep them as that stage's.
    with nullcontext() if args.scores else alone(), Repo() as repo:
        if not args.scores:
            _refuse_edits()
        commits = _pull_experiments(repo, args.git_remote, args.names)
        check_remote(repo, push=False)
        for name, commit in commits.items():
            targets = compared_outputs(commit) if args.scores else None
            count = _fetch(repo, name, commit, targets, run_cache=not args.scores, jobs=args.jobs)
            print(f"{name}: {count} files fetched, none missing, each with its MD5", flush=True)
        if not args.scores:
            # What was pushed by dvc alone lacks these: then a switch to another run of these runs stages again.
            with suppress(UserError), explained(repo):
                pull_kept(repo, [*commits.values()], args.jobs)
            with kept():
                _into_workspace(repo, args.names[-1], commits[args.names[-1]])
    for name, commit in commits.items():
        print(f"report of {name}: {save_report(name, commit)}")
    print(f"verdict: make compare A={args.names[0]} B={args.names[-1]}")


def compared_outputs(commit: str) -> list[str]:
    """Those outputs that a run recorded in a commit which a comparison reads."""
    outputs = [out["path"] for stage in locked_stages(commit).values() for out in stage.get("outs") or []]
    wanted = [PurePosixPath(path) for path in COMPARED]
    return sorted(path for path in outputs if any(PurePosixPath(path).is_relative_to(each) for each in wanted))


def _pull_experiments(repo: Any, git_remote: str, names: list[str]) -> dict[str, str]:
    """Get experiments, without artifacts, from a Git remote; {name: commit}.

    Raises:
        UserError: Git cannot reach the remote, it has no such experiment, or another one of that name is here.
    """
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError
    from scmrepo.exceptions import SCMError as GitError

    git_address(git_remote)
    lines = git("ls-remote", git_remote, "refs/exps/*").splitlines()
    listed = {ref: commit for commit, ref in map(str.split, lines)}
    refs = {name: _ref_of(name, list(listed), git_remote) for name in names}
    try:
        repo.experiments.pull(git_remote, [*refs.values()])
    except (DvcException, SCMError, GitError) as error:
        raise UserError(f"{git_remote}: expected to get {' and '.join(names)}, found: {one_line(error)}") from None
    # DVC leaves an experiment that is here as it is, with a warning.
    if others := [name for name, ref in refs.items() if resolved(ref) != listed[ref]]:
        raise UserError(
            f"{' and '.join(others)}: expected the experiments of {git_remote}, found others of these names here; "
            f"`dvc exp rename {others[0]} NAME` keeps yours, `dvc exp remove {others[0]}` gives it up, then again"
        )
    return {name: listed[ref] for name, ref in refs.items()}


def _ref_of(name: str, refs: list[str], git_remote: str) -> str:
    """The experiment of that name: that of the commit that is checked out, or the only one."""
    found = [ref for ref in refs if ref.rpartition("/")[2] == name]
    if (own := experiment_ref(head_commit(), name)) in found:
        return own
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"{git_remote}: expected the experiment {name}, found none of that name; "
            f"`dvc exp list {git_remote} --all-commits` lists what is there"
        )
    commits = " and ".join("".join(ref.split("/")[2:4])[:10] for ref in found)
    raise UserError(
        f"{git_remote}: expected one experiment {name}, found {len(found)}, of the commits {commits}; "
        "`git checkout` one of these, then again"
    )


def _fetch(repo: Any, name: str, commit: str, outputs: list[str] | None, *, run_cache: bool, jobs: int | None) -> int:
    """Get an experiment's artifacts; the number of files that came.

    Raises:
        UserError: The transfer failed, or something is missing or corrupted in the remote.
    """
    from dvc.exceptions import DownloadError
    from dvc_objects.errors import ObjectFormatError

    verified = {"remote": {repo.config["core"]["remote"]: {"verify": True}}}
    with explained(repo):
        try:
            if outputs is None:
                count = repo.fetch(revs=[commit], workspace=False, run_cache=run_cache, jobs=jobs, config=verified)
            else:
                # `repo.fetch` reads dvc.lock anew for each of its targets: most of a minute for a hundred.
                objects = objects_of(repo, commit, outputs, remote=repo.cloud.get_remote_odb(command="pull"))
                repo.config.merge(verified)  # a look at another commit forgets it
                count = pull_objects(repo, objects, jobs)
        except (DownloadError, FileNotFoundError, ObjectFormatError):
            check_arrived(repo, name, commit, outputs, complete=False)
            raise
        check_arrived(repo, name, commit, outputs)
    return int(count)


def _refuse_edits() -> None:
    """DVC would put them into a commit that no branch has. What the last run wrote and set is in its experiment."""
    edited = [
        path
        for path in git("diff", "--name-only", "--relative", "HEAD").splitlines()
        if path not in ("dvc.lock", PARAMS_PATH.name) and not path.startswith(("metrics/", "plots/"))
    ]
    if edited:
        raise UserError(
            f"{' and '.join(edited[:3])}: expected files as they were committed, found them edited, and a pull puts "
            "the experiment's in their place; `git commit` or `git stash`, then again (make pull-scores changes none)"
        )


def _into_workspace(repo: Any, name: str, commit: str) -> None:
    from dvc.exceptions import DvcException

    # DVC keeps what was changed by hand in a commit of its own, while it applies an experiment.
    os.environ.update(identity())
    try:
        repo.experiments.apply(commit)
        repo.checkout()
        restore_in_git(repo, commit)
    except DvcException as error:
        raise UserError(
            f"expected to put {name} into the workspace, found: {one_line(error)}; it is here: "
            f"`dvc exp apply {name}`, then `dvc checkout`"
        ) from None
    print(f"the workspace is {name}: `dvc repro` has nothing to do")


if __name__ == "__main__":
    run(main)

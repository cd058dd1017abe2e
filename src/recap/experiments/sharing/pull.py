"""`python -m recap.experiments.sharing.pull baseline blip2`: get experiments that somebody shared, and their artifacts.

What `make pull` does: experiments from a Git remote, artifacts and run-cache from DVC's default remote, the last
experiment into the workspace, where `dvc repro` then has nothing to do. With `--scores`, `make pull-scores`, the
workspace stays as it is, and only what `make compare` reads of a run comes: scores, numbers, durations, the processed
rows, and its report. Pictures that a comparison's page shows are fetched one by one when it is made.
"""

import argparse
import os
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from recap.experiments.git import identity
from recap.experiments.locked import locked_stages
from recap.experiments.reports import REPORT, save_report
from recap.experiments.sharing.arrived import check_arrived
from recap.experiments.sharing.destinations import check_remote, git_address
from recap.experiments.sharing.failures import explained
from recap.experiments.sharing.objects import objects_of, pull_objects
from recap.experiments.sharing.run_cache import pull_kept
from recap.runtime.errors import UserError
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

    with Repo() as repo:
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
            _into_workspace(repo, args.names[-1])
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
    from dvc.scm import SCMError, resolve_rev
    from scmrepo.exceptions import SCMError as GitError

    git_address(git_remote)
    try:
        repo.experiments.pull(git_remote, names)
        return {name: str(resolve_rev(repo.scm, name)) for name in names}
    except (DvcException, SCMError, GitError) as error:
        raise UserError(
            f"{git_remote}: expected the experiments {' and '.join(names)}, found: {' '.join(str(error).split())}; "
            f"`dvc exp list {git_remote} --all-commits` lists what is there"
        ) from None


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


def _into_workspace(repo: Any, name: str) -> None:
    # DVC keeps what was changed by hand in a commit of its own, while it applies an experiment.
    os.environ.update(identity())
    with explained(repo):
        repo.experiments.apply(name)
        repo.checkout()
    print(f"the workspace is {name}: `dvc repro` has nothing to do")


if __name__ == "__main__":
    run(main)

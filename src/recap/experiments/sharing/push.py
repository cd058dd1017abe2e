"""`python -m recap.experiments.sharing.push baseline blip2`: push branch and experiments, with all their artifacts.

What `make share` does, in this order: artifacts and run-cache to DVC's default remote, the branch and the experiments
to a Git remote. Artifacts go first: nobody is to find an experiment whose files are not there yet. What arrived
already is not sent again. It ends by saying what a stranger types.
"""

import argparse
import shlex

from recap.experiments.git import asked, git, head_branch, head_commit
from recap.experiments.refs import experiment_commit, experiment_ref
from recap.experiments.sharing.destinations import check_remote, git_address
from recap.experiments.sharing.failures import explained
from recap.experiments.sharing.objects import push_lost
from recap.experiments.sharing.remote import CONFIG
from recap.experiments.sharing.run_cache import push_kept
from recap.runtime.errors import UserError
from recap.runtime.stage import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.sharing.push", description=__doc__)
    parser.add_argument("names", nargs="+", help="experiments of the commit that is checked out")
    parser.add_argument("--git-remote", default="origin", help="where branch and experiments go (origin)")
    parser.add_argument("--no-run-cache", action="store_true", help="leave out what lets others switch back to a run")
    parser.add_argument("--jobs", type=int, help="files at a time; fewer where pushes time out (DVC chooses)")
    args = parser.parse_args()

    from dvc.repo import Repo

    branch, commits = _branch(), _commits(args.names)
    address = git_address(args.git_remote)
    with Repo() as repo:
        check_remote(repo, push=True)
        also = "" if args.no_run_cache else ", and the run-cache (dvc push --run-cache)"
        print(f"== artifacts of {' and '.join(args.names)}{also}", flush=True)
        with explained(repo):
            repo.push(revs=commits, workspace=False, run_cache=not args.no_run_cache, jobs=args.jobs)
            push_lost(repo, commits, args.jobs)
            if not args.no_run_cache:
                push_kept(repo, commits, args.jobs)
    # A plus: an experiment that ran again replaces its predecessor, of which it is no continuation; a branch does not.
    experiments = [f"+{ref}:{ref}" for ref in (experiment_ref(head_commit(), name) for name in args.names)]
    references = [f"{branch}:{branch}", *experiments]
    print(f"== git push {args.git_remote} {' '.join(references)}", flush=True)
    git("push", args.git_remote, *references)
    names = " ".join(args.names)
    clone = shlex.join(["git", "clone", "-b", branch.removeprefix("refs/heads/"), address, "recap"])
    print(
        f"\nwhoever wants it types:\n\n{clone} && cd recap\n"
        f'make pull RUNS="{names}"           # everything; only what a comparison reads: make pull-scores\n'
        f"make compare A={args.names[0]} B={args.names[-1]}"
    )


def _branch() -> str:
    branch = head_branch()
    if branch is None:
        raise UserError("expected a branch to push, found a detached HEAD; `git switch -c NAME` makes one of it")
    if asked("diff", "--quiet", "HEAD", "--", CONFIG) is None:
        raise UserError(
            f"{CONFIG}: expected it as it was committed, found it changed; git commit {CONFIG}, then make: "
            "experiments have to start from a commit that says where their artifacts lie"
        )
    return branch


def _commits(names: list[str]) -> list[str]:
    commits = {name: experiment_commit(head_commit(), name) for name in names}
    absent = [name for name, commit in commits.items() if commit is None]
    if absent:
        raise UserError(
            f"{' and '.join(absent)}: expected an experiment of the commit that is checked out, found none; make "
            "restores what has run before, and runs the rest"
        )
    return [commit for commit in commits.values() if commit]


if __name__ == "__main__":
    run(main)

"""`python -m recap.experiments.sharing.gc`: what the cache holds and nothing needs any more; with --remove, without it.

What `make gc` does. Needed is what the workspace, a branch, a tag or an experiment of any commit names: whoever is done
with an experiment says `dvc exp remove` first. `dvc gc` would also take the metrics and plots that the run-cache needs,
and a run that was switched back to would train again. With --cloud the default remote is cleared too, of what neither
this clone nor the Git remote needs.
"""

import argparse
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recap.experiments.busy import living_dvcs
from recap.experiments.git import git, resolved
from recap.experiments.sharing.destinations import check_remote, git_address
from recap.experiments.sharing.failures import explained
from recap.experiments.sharing.objects import hashes_of, objects_of
from recap.experiments.workspace import alone
from recap.runtime.errors import UserError
from recap.runtime.stage import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.sharing.gc", description=__doc__)
    parser.add_argument("--remove", action="store_true", help="remove it (without: only say how much it is)")
    parser.add_argument("--cloud", action="store_true", help="of the default remote as well")
    parser.add_argument(
        "--git-remote", default="origin", help="whose branches and experiments need the remote (origin)"
    )
    args = parser.parse_args()

    from dvc.repo import Repo

    with alone() if args.remove else nullcontext(), Repo() as repo:
        if args.remove:
            _refuse_beside_copies(Path(repo.root_dir))
        _refuse_shared_cache(repo)
        stores, remote = {"cache": repo.cache.local}, None
        commits = _named_commits()
        if args.cloud:
            check_remote(repo, push=True)
            commits |= _commits_of(args.git_remote)
            stores[repo.config["core"]["remote"]] = remote = repo.cloud.get_remote_odb(command="gc")
        with repo.lock, explained(repo) if args.cloud else nullcontext():
            needed = _needed(repo, sorted(commits), remote)
            for name, store in stores.items():
                _clear(name, store, needed, remove=args.remove)
    if not args.remove:
        print("nothing was removed; FLAGS=--remove does")


def _named_commits() -> set[str]:
    """The commits of this clone's branches, tags and experiments, and the one that is checked out."""
    references = git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags", "refs/exps").splitlines()
    return _commits_among(["HEAD", *references])


def _commits_of(git_remote: str) -> set[str]:
    """The same of a Git remote, fetched without a name: what they need is then known here."""
    git_address(git_remote)
    listed = git("ls-remote", git_remote, "refs/heads/*", "refs/tags/*", "refs/exps/*").splitlines()
    objects = {ref: name for name, ref in map(str.split, listed) if not ref.endswith("^{}")}
    git("fetch", "--quiet", "--no-write-fetch-head", git_remote, *objects)
    return _commits_among(objects.values())


def _commits_among(names: Iterable[str]) -> set[str]:
    """The commits that references stand for; a tag may be of something else."""
    found = (resolved(f"{name}^{{commit}}") for name in names)
    return {commit for commit in found if commit}


def _refuse_beside_copies(root: Path) -> None:
    """What a run of `dvc exp run --temp` or `--queue` has made so far, no commit names yet."""
    for process, folder in living_dvcs():
        if folder.is_relative_to(root / ".dvc"):
            raise UserError(
                f"expected no experiment that runs in a copy, found process {process} at work in {folder}; "
                "wait for it, or look at what there is without --remove"
            )


def _refuse_shared_cache(repo: Any) -> None:
    """Others may need what this clone does not."""
    cache = Path(repo.cache.local.path)
    worktrees = git("worktree", "list", "--porcelain").count("worktree ")
    if worktrees > 1:
        raise UserError(
            f"{cache}: expected a cache of this clone alone, found {worktrees} worktrees, whose runs may be in it; "
            "`git worktree remove` the others, or look at what there is in one clone"
        )
    if not cache.is_relative_to(repo.dvc_dir) or repo.config["cache"].get("shared"):
        raise UserError(
            f"{cache}: expected a cache of this clone alone, found one outside it or shared, which others may use; "
            "`dvc gc --all-branches --all-tags --all-experiments --projects FOLDER ...` knows those it is told of"
        )


def _needed(repo: Any, commits: list[str], remote: Any) -> set[Any]:
    """`HashInfo`s of all that the workspace and some commits name; `remote` may alone have the list of a folder."""
    used = [*repo.used_objs().values(), *repo.used_objs(revs=commits).values()]
    objects = [
        each for commit in ("workspace", *commits) for each in objects_of(repo, commit, in_git=True, remote=remote)
    ]
    return hashes_of(objects).union(*used)


def _clear(name: str, store: Any, needed: set[Any], *, remove: bool) -> None:
    from dvc_data.hashfile.db import get_index
    from dvc_data.hashfile.gc import gc

    kept = {each.value for each in needed}
    paths = [store.oid_to_path(oid) for oid in store.all() if oid not in kept]
    size = sum(store.fs.size(path) or 0 for path in paths)
    if remove and paths:
        gc(store, needed)
        get_index(store).clear()  # what DVC believes to be there
    print(
        f"{name}: {len(paths)} files of {size / 1e6:.1f} MB that nothing needs{', removed' if remove else ''}",
        flush=True,
    )


if __name__ == "__main__":
    run(main)

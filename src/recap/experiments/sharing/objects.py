"""The objects of a run: what DVC's cache and remotes hold of its outputs, each a file named by the MD5 of its bytes."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Object:
    """One object, by the output that it belongs to.

    Attributes:
        oid: Its MD5, which is its name; with ".dir" the list of a folder's files.
        path: Of the output, or of the file in it, from the project's root.
        stage: That makes it; of what was added by hand, the file that says so.
        in_git: Whether Git has it, so that caches have it for the run-cache alone.
    """

    oid: str
    path: str
    stage: str
    in_git: bool

    @property
    def is_list(self) -> bool:
        return self.oid.endswith(".dir")


def objects_of(
    repo: Any, commit: str, outputs: list[str] | None = None, *, in_git: bool = False, remote: Any = None
) -> list[Object]:
    """What a run keeps in the cache, by the dvc.lock of its commit.

    A folder is the list of its files, and those files if there is a sound list.

    Args:
        repo: The `dvc.repo.Repo`.
        commit: The run's, or "workspace".
        outputs: Their paths; None for all.
        in_git: Also metrics and plots. They are in Git; the cache has them only for the run-cache.
        remote: Where to read lists that the cache lacks; None: nowhere.
    """
    found = []
    with repo.switch(commit):
        for out in repo.index.outs:
            path = repo.fs.relpath(out.fs_path, repo.root_dir)
            if (out.use_cache or in_git) and is_pushed(out) and (outputs is None or path in outputs):
                found.append(Object(out.hash_info.value, path, maker_of(repo, out), not out.use_cache))
    stores = [repo.cache.local] if remote is None else [repo.cache.local, remote]
    files = [each for folder in found if folder.is_list for each in _files_in(stores, folder)]
    return found + files


def is_pushed(out: Any) -> bool:
    """Whether an output goes to the remote: it has been made, and neither comes from elsewhere nor is kept here."""
    return bool(out.hash_info and out.can_push and not out.stage.is_repo_import)


def maker_of(repo: Any, out: Any) -> str:
    """The name of an output's stage; of a `dvc add`, its file."""
    return str(getattr(out.stage, "name", None) or repo.fs.relpath(out.stage.path, repo.root_dir))


def is_there(store: Any, each: Object) -> bool:
    """Whether a store has an object. Its own `exists` says no of a line that broke, too; here that is an error.

    Args:
        store: `repo.cache.local`, or a remote's.
        each: The object.
    """
    from aiohttp import ClientError

    try:
        store.fs.info(store.oid_to_path(each.oid))
        return True
    except FileNotFoundError as error:
        cause = error.__cause__
    # fsspec calls whatever happens over HTTP so, and a missing bucket. Raised here, what it was has no missing file in
    # its history.
    broken = isinstance(cause, ClientError | TimeoutError) and getattr(cause, "status", None) != 404
    if cause and (broken or type(cause).__name__ == "NoSuchBucket"):
        raise cause
    return False


def is_sound(store: Any, each: Object) -> bool:
    """Whether the bytes of an object that is in a store have the MD5 that its name tells; reads all of them.

    Args:
        store: `repo.cache.local`, or a remote's.
        each: The object.
    """
    from dvc_data.hashfile.hash import file_md5

    return str(file_md5(store.oid_to_path(each.oid), store.fs)) == each.oid.removesuffix(".dir")


def push_lost(repo: Any, commits: list[str], jobs: int | None) -> None:
    """Push what the default remote has lost of some runs, after DVC has pushed them.

    Where the list of a folder's files is there, DVC takes the files to be there too, and sends none of them again.

    Args:
        repo: The `dvc.repo.Repo`.
        commits: The runs'.
        jobs: Files at a time; None: DVC chooses.

    Raises:
        dvc.exceptions.UploadError: Some did not arrive.
    """
    from dvc_data.hashfile.db import get_index

    files = [each for commit in commits for each in objects_of(repo, commit) if not each.is_list]
    with closing(get_index(repo.cloud.get_remote_odb(command="push"))) as believed:
        believed.clear()
    push_objects(repo, files, jobs)


def push_objects(repo: Any, objects: list[Object], jobs: int | None) -> None:
    """Push objects from the cache to the default remote, unless they are there.

    Raises:
        dvc.exceptions.UploadError: Some did not arrive.
    """
    from dvc.exceptions import UploadError

    if failed := repo.cloud.push(hashes_of(objects), jobs=jobs).failed:
        raise UploadError(len(failed))


def pull_objects(repo: Any, objects: list[Object], jobs: int | None) -> int:
    """Pull objects from the default remote into the cache, unless they are here; how many came.

    Raises:
        dvc.exceptions.DownloadError: Some did not arrive.
    """
    from dvc.exceptions import DownloadError

    result = repo.cloud.pull(hashes_of(each for each in objects if not repo.cache.local.exists(each.oid)), jobs=jobs)
    if result.failed:
        raise DownloadError(len(result.failed))
    return len(result.transferred)


def hashes_of(objects: Iterable[Object]) -> set[Any]:
    """`HashInfo`s, as DVC's own functions take them."""
    from dvc_data.hashfile.hash_info import HashInfo

    return {HashInfo("md5", each.oid) for each in objects}


def _files_in(stores: list[Any], folder: Object) -> list[Object]:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    for store in stores:
        if is_there(store, folder) and is_sound(store, folder):
            tree = Tree.load(store, HashInfo("md5", folder.oid))
            return [replace(folder, oid=info.value, path="/".join((folder.path, *key))) for key, _, info in tree]
    return []

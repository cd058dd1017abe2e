"""`make gc`: what branches, tags, named experiments and the run-cache need stays, here and in the remote."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.clones import IDENTITY
from tests.experiments.stub_project import Project
from tests.remotes.servers import folder
from tests.remotes.small import SHARE, cached, copy_with_origin, log_in, stranger_of
from tests.remotes.stored import stored

pytestmark = pytest.mark.slow

GC = ("python", "-m", "recap.experiments.sharing.gc")
WEIGHTS = "models/merged"


@pytest.fixture(scope="module")
def used_once(author_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two experiments, a branch whose own dvc.lock is of a third run, and a run that nothing names any more."""
    project = author_once.copy(tmp_path_factory.mktemp("used"))
    project.env |= IDENTITY  # `dvc exp apply` asks for one
    project.git("switch", "-qc", "side")
    for before, seed in ((42, 8), (8, 7)):
        project.edit("params.yaml", f"seed: {before}\n", f"seed: {seed}\n")
        project.run("dvc", "repro")
    project.commit("a branch with a run of its own")
    project.git("switch", "-q", "main")
    project.run("dvc", "checkout", "--quiet", "--force", "--allow-missing")
    project.trained()
    return project


@pytest.fixture
def used(used_once: Project, tmp_path: Path) -> Project:
    project = copy_with_origin(used_once, tmp_path)
    project.env |= IDENTITY
    return project


def size_of_weights(project: Project) -> int:
    return sum(len(content) for content in cached(project).values() if len(content) == 3_000_000)


def test_what_is_named_stays_and_what_is_not_goes(used: Project) -> None:
    before = cached(used)
    said = used.run(*GC).stdout
    assert "nothing was removed" in said and cached(used) == before
    assert "removed" in used.run(*GC, "--remove").stdout
    left = cached(used)
    assert left.items() < before.items()
    assert size_of_weights(used) == 3 * 3_000_000  # baseline's, blip2's, the branch's; the fourth is gone
    used.git("switch", "-q", "side")
    used.run("dvc", "checkout", "--quiet")
    assert "up to date" in used.run("dvc", "repro").stdout
    used.git("switch", "-q", "main")
    for name in ("baseline", "blip2"):
        used.run("dvc", "exp", "apply", name)
        used.run("dvc", "repro")
        assert used.read(f"{WEIGHTS}/large").startswith(f"{name} 42")
    assert used.trained() == []
    used.edit("params.yaml", "seed: 42\n", "seed: 8\n")
    used.run("dvc", "repro")
    assert used.trained() == ["blip2 8"]  # its note is in the run-cache still, its outputs are not


def test_the_run_cache_still_knows_its_runs(used: Project) -> None:
    """On the next commit both recipes come from it; after `dvc gc` they would train again."""
    used.run(*GC, "--remove")
    used.write("note", "nothing that a stage reads")
    used.commit("another commit")
    used.make()
    assert used.trained() == []


def test_the_remote_keeps_what_others_pushed(used: Project, tmp_path: Path) -> None:
    with folder(tmp_path / "remote") as served:
        log_in(used, served)
        used.run(*SHARE)
        there = stored(served).all()
        # A clone over the wire, unlike one of a folder, has the commits of the branch alone.
        used.git("remote", "set-url", "origin", f"file://{tmp_path}/origin.git")
        other = stranger_of(used, tmp_path / "other", served)
        stored(served).write("0" * 32, b"of an experiment that was removed")
        assert "store: 1 files" in other.run(*GC, "--cloud").stdout
        other.run(*GC, "--cloud", "--remove")
        assert stored(served).all() == there


def test_nothing_is_removed_beside_an_experiment_in_a_copy(author: Project) -> None:
    author.write("wait", "")
    train = author.read("train.sh").replace("test -e wait", f"test -e {author.root}/wait")
    author.write("train.sh", train)
    author.env |= IDENTITY
    command = ["dvc", "exp", "run", "--temp", "--name", "copied"]
    with subprocess.Popen(command, cwd=author.root, env=author.env, stdout=subprocess.DEVNULL) as copied:
        deadline = time.monotonic() + 60
        while not list(author.root.glob(".dvc/tmp/exps/*/*/ran")):
            assert time.monotonic() < deadline and copied.poll() is None
            time.sleep(0.1)
        done = author.run(*GC, "--remove", check=False)
        (author.root / "wait").unlink()
    assert done.returncode == 1 and "expected no experiment that runs in a copy, found process" in done.stderr
    assert copied.returncode == 0


def test_a_worktree_may_need_what_this_one_does_not(author: Project, tmp_path: Path) -> None:
    author.git("worktree", "add", "-q", str(tmp_path / "other"))
    done = author.run(*GC, "--remove", check=False)
    assert done.returncode == 1 and "found 2 worktrees" in done.stderr


def test_a_cache_of_several_is_left_alone(author: Project, tmp_path: Path) -> None:
    author.run("dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    done = author.run(*GC, "--remove", check=False)
    assert done.returncode == 1 and "others may use" in done.stderr and "--projects" in done.stderr

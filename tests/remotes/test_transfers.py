"""Pushes and pulls that go wrong, over real servers: refused, unreachable, full, two at once."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.experiments.stub_project import Project
from tests.remotes.servers import SERVERS, Served, folder
from tests.remotes.small import PULL, SHARE, cached, error_of, log_in, stranger_of
from tests.remotes.stored import stored

pytestmark = pytest.mark.slow


@pytest.fixture
def stranger(author: Project, tmp_path: Path) -> Iterator[Project]:
    """Somebody else's clone, after the author has shared both experiments by a folder."""
    with folder(tmp_path / "remote") as served:
        log_in(author, served)
        author.run(*SHARE)
        yield stranger_of(author, tmp_path / "stranger", served)


def test_a_login_that_is_wrong_and_a_host_that_is_gone(author: Project, tmp_path: Path) -> None:
    with SERVERS["ssh"](tmp_path / "ssh") as served:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
        log_in(author, replace(served, local={"keyfile": str(tmp_path / "other")}))
        assert "it does not let you in" in error_of(author.run(*SHARE, check=False))
        log_in(author, served)
    assert "it cannot be reached" in error_of(author.run(*SHARE, check=False))
    assert author.run("git", "ls-remote", "origin").stdout == ""  # nothing of it went to Git


def test_a_full_remote(author: Project, tmp_path: Path) -> None:
    store = tmp_path / "full"
    store.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(store)], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        log_in(author, Served(str(store)))
        assert "it is full" in error_of(author.run(*SHARE, check=False))
    finally:
        subprocess.run(["umount", str(store)], check=True)


def test_a_disk_of_ones_own_is_no_fault_of_the_remotes(stranger: Project) -> None:
    cache = stranger.root / ".dvc/cache"
    cache.mkdir()
    cache.chmod(0o500)
    said = error_of(stranger.run(*PULL, check=False))
    cache.chmod(0o700)
    assert str(cache) in said and "Permission denied" in said and "login" not in said


def test_an_experiment_that_ran_again_replaces_the_shared_one(author: Project, stranger: Project) -> None:
    stranger.run(*PULL)
    ref = f"refs/exps/{author.head[:2]}/{author.head[2:]}/blip2"
    shared = author.experiment("blip2")
    author.git("update-ref", ref, author.experiment("baseline"))
    author.run(*SHARE)
    said = error_of(stranger.run(*PULL, check=False))
    assert "blip2: expected the experiments of origin, found others of these names here; `dvc exp rename" in said
    assert stranger.git("rev-parse", ref) == shared
    stranger.run("dvc", "exp", "remove", "blip2")
    stranger.run(*PULL)
    assert stranger.git("rev-parse", ref) == author.experiment("blip2") != shared


def test_what_somebody_edited_is_not_pulled_over(stranger: Project) -> None:
    stranger.run(*PULL)
    stranger.run(*PULL)  # what the first one wrote is no edit
    stranger.edit("code/model.py", "1", "777")
    assert "code/model.py: expected files as they were committed" in error_of(stranger.run(*PULL, check=False))
    assert stranger.read("code/model.py") == "777\n"
    stranger.run(*PULL, "--scores")


def test_a_branch_of_an_experiments_name_is_another_thing(author: Project, tmp_path: Path) -> None:
    with folder(tmp_path / "remote") as served:
        log_in(author, served)
        author.run(*SHARE)
        author.git("push", "-q", "origin", "main:blip2")
        stranger = stranger_of(author, tmp_path / "stranger", served)
        stranger.git("tag", "baseline")
        stranger.run(*PULL)
        assert stranger.experiment("blip2") == author.experiment("blip2")
        assert "blip2 42" in stranger.read("models/merged/large")
        # Back to the other one: not a file of the first stays.
        stranger.run(*PULL[:-2], "blip2", "baseline")
        assert stranger.git("status", "--porcelain", "--", "plots").count("blip2-42.tsv") == 0
        assert "Data and pipelines are up to date" in stranger.run("dvc", "status").stdout


def test_a_pull_keeps_away_from_a_stage_that_runs(author: Project, tmp_path: Path) -> None:
    with folder(tmp_path / "remote") as served:
        log_in(author, served)
        author.run(*SHARE)
        author.write("wait", "")
        author.edit("code/model.py", "1", "2")
        with subprocess.Popen(["dvc", "repro"], cwd=author.root, env=author.env, stdout=subprocess.DEVNULL) as repro:
            while not (author.root / ".dvc/tmp/rwlock").is_file() or "write" not in author.read(".dvc/tmp/rwlock"):
                time.sleep(0.05)
            time.sleep(1)
            said = error_of(author.run(*PULL, check=False))
            (author.root / "wait").unlink()
        assert "in a stage (dvc repro)" in said and repro.returncode == 0


def test_two_people_push_at_once_and_nothing_is_lost(author: Project, tmp_path: Path) -> None:
    with folder(tmp_path / "remote") as served:
        (tmp_path / "second").mkdir()
        second = author.copy(tmp_path / "second")
        # Each has an experiment that the other one has not.
        own = {author: "filtered", second: "selective"}
        for each, name in own.items():
            log_in(each, served)
            each.make(name)
        pushes = [
            subprocess.Popen([*SHARE, name], cwd=each.root, env=each.env, stderr=subprocess.PIPE, text=True)
            for each, name in own.items()
        ]
        # Of two that come at the same moment Git lets one win a ref: the other one is told, and tries again.
        shared = []
        for each, push in zip(own, pushes, strict=True):
            said = push.communicate(timeout=600)[1]
            if push.returncode == 0:
                shared.append(each)
            else:
                error_of(subprocess.CompletedProcess(SHARE, push.returncode, "", said))
        arrived = stored(served).all().keys()
        assert {path.replace("/", "") for each in shared for path in cached(each)} <= arrived
        for each, name in own.items():
            each.run(*SHARE, name)
        arrived = stored(served).all().keys()
        assert {path.replace("/", "") for each in own for path in cached(each)} <= arrived
        stranger = stranger_of(author, tmp_path / "stranger", served)
        stranger.run(*PULL, *own.values())
        assert "up to date" in stranger.run("dvc", "repro").stdout

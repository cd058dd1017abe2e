"""Pushes and pulls that go wrong, over real servers: refused, unreachable, full, two at once."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.experiments.stub_project import Project
from tests.remotes.servers import SERVERS, Served, folder
from tests.remotes.small import PULL, SHARE, error_of, log_in, stranger_of

pytestmark = pytest.mark.slow


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


def test_two_people_push_at_once_and_nothing_is_lost(author: Project, tmp_path: Path) -> None:
    with folder(tmp_path / "remote") as served:
        (tmp_path / "second").mkdir()
        second = author.copy(tmp_path / "second")
        for each in (author, second):
            log_in(each, served)
        pushes = [
            subprocess.Popen(SHARE, cwd=each.root, env=each.env, stderr=subprocess.PIPE, text=True)
            for each in (author, second)
        ]
        errors = [push.communicate(timeout=300)[1] for push in pushes]
        # Git lets one of two win a ref at the same moment; the other's artifacts are there, and a second try is free.
        assert any(push.returncode == 0 for push in pushes), errors
        second.run(*SHARE)
        stranger = stranger_of(author, tmp_path / "stranger", served)
        stranger.run(*PULL)
        assert "up to date" in stranger.run("dvc", "repro").stdout

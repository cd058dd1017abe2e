"""Edits in the stash of a killed DVC; what a real one leaves is in test_kills.py."""

import os
from pathlib import Path

import pytest

from recap.experiments.git import git, head_commit
from recap.experiments.set_aside import last_stash, take_back


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "recap@example.invalid")
    for name in ("model.py", "other.py", "params.yaml"):
        (tmp_path / name).write_text("1\n")
    git("init", "-q")
    # The second in which a file was changed decides, as within a tick of the clock.
    git("config", "core.trustctime", "false")
    git("add", ".")
    git("commit", "-qm", "start")
    return tmp_path


def test_a_file_that_git_takes_for_unchanged_is_seen(repository: Path) -> None:
    for name in ("model.py", "other.py"):
        (repository / name).write_text("2\n")
    git("stash")
    model = repository / "model.py"
    os.utime(model, (10, 10))
    git("update-index", "--refresh")
    # As a killed DVC leaves it: the edits applied again, one in the same moment, and the run's parameters.
    model.write_text("2\n")
    os.utime(model, (10, 10))
    (repository / "other.py").write_text("2\n")
    (repository / "params.yaml").write_text("of the run\n")
    assert "model.py" not in git("diff", "--name-only")
    take_back(head_commit(), before=None)
    assert last_stash() is None
    found = [(repository / name).read_text() for name in ("model.py", "other.py", "params.yaml")]
    assert found == ["2\n", "2\n", "1\n"]


def test_a_stash_of_another_commit_is_the_users(repository: Path) -> None:
    (repository / "model.py").write_text("2\n")
    git("stash")
    first = head_commit()
    git("commit", "-q", "--allow-empty", "-m", "next")
    take_back(head_commit(), before=None)
    assert last_stash() is not None and (repository / "model.py").read_text() == "1\n"
    take_back(first, before=last_stash())
    assert last_stash() is not None, "it was there before"

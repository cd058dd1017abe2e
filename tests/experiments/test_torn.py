"""`make` after a DVC that was killed while it wrote its own files in place."""

import subprocess
from pathlib import Path

import pytest

from recap.experiments.torn import mend_torn_files
from recap.runtime.errors import UserError
from tests.experiments.stub_project import Project
from tests.processes import sleeping

LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: sh train.sh
    outs:
    - path: models/merged
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a dvc.lock that Git has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    subprocess.run("git init -q && git add dvc.lock", shell=True, check=True)
    return tmp_path


# An empty file, half a word, half an entry; DVC refuses each.
@pytest.mark.parametrize("length", [0, 30, LOCK.index("path") + 3])
def test_a_torn_lock_is_as_git_has_it(project: Path, length: int, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "dvc.lock").write_text(LOCK[:length])
    mend_torn_files()
    assert (project / "dvc.lock").read_text() == LOCK
    kept = ".dvc/tmp/dvc.lock.cut"
    said = f"dvc.lock was cut when a DVC was killed: what was left is {kept}; git restore dvc.lock\n"
    assert capsys.readouterr().out == said and (project / kept).read_text() == LOCK[:length]


def test_a_torn_lock_that_git_has_not_is_removed(project: Path) -> None:
    subprocess.run(["git", "rm", "-q", "--cached", "dvc.lock"], check=True)
    (project / "dvc.lock").write_text(LOCK[:30])
    mend_torn_files()
    assert not (project / "dvc.lock").exists()


def test_a_conflict_of_a_merge_is_the_users(project: Path) -> None:
    text = f"<<<<<<< HEAD\n{LOCK}=======\n>>>>>>> other\n"
    (project / "dvc.lock").write_text(text)
    with pytest.raises(UserError, match=r"two versions that Git could not merge; `git checkout --ours dvc.lock`"):
        mend_torn_files()
    assert (project / "dvc.lock").read_text() == text


@pytest.mark.parametrize("note", ["", '{"write": {"/a'])
def test_a_torn_note_is_removed(project: Path, note: str, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".dvc/tmp/rwlock").write_text(note)
    mend_torn_files()
    assert not (project / ".dvc/tmp/rwlock").exists()
    assert capsys.readouterr().out == (
        ".dvc/tmp/rwlock was cut when a DVC was killed: what was left is .dvc/tmp/rwlock.cut\n"
    )


def test_what_is_sound_stays_and_costs_no_word(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = LOCK + "  more: {cmd: 'true'}\n"
    (project / "dvc.lock").write_text(lock)
    (project / ".dvc/tmp/rwlock").write_text('{"write": {}, "read": {}}')
    mend_torn_files()
    assert (project / "dvc.lock").read_text() == lock and (project / ".dvc/tmp/rwlock").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
def test_nothing_is_mended_beside_a_dvc(project: Path) -> None:
    (project / "dvc.lock").write_text("")
    with sleeping("dvc") as process, pytest.raises(UserError, match=rf"a DVC at work in .* process {process};"):
        mend_torn_files()
    assert (project / "dvc.lock").read_text() == ""
    mend_torn_files()
    assert (project / "dvc.lock").read_text() == LOCK


@pytest.mark.slow
def test_make_takes_no_merge_away(made: Project) -> None:
    made.commit("results")
    made.git("switch", "-qc", "side")
    made.write("new", "of the side")
    made.commit("side")
    made.git("switch", "-q", "main")
    made.git("merge", "-q", "--no-commit", "--no-ff", "side")
    done = made.make(check=False)
    assert done.returncode == 1 and "expected no merge under way" in done.stderr
    made.git("commit", "-qm", "merged")
    assert made.git("rev-list", "--count", "--merges", "HEAD") == "1"


@pytest.mark.slow
def test_make_goes_on_after_both_were_torn(made: Project) -> None:
    made.commit("results")
    made.make()
    made.trained()
    lock = made.read("dvc.lock")
    made.write("dvc.lock", lock[: lock.index("path") + 3])
    made.write(".dvc/tmp/rwlock", '{"write": {"/a')
    made.edit("code/model.py", "1", "2")
    done = made.make().stdout
    assert "git restore dvc.lock" in done and "what was left is .dvc/tmp/rwlock.cut" in done
    assert made.trained() == ["baseline 42", "blip2 42"]

"""How the code and parameters that ran differ from a commit: edited, new, set by an experiment, or not at all."""

import subprocess

import pytest

from recap.reporting.working_tree import Changes, changes_of_experiment, uncommitted_changes

PARAMS = "recipe: baseline\nseed: 42\nlora: {r: 16}\n"


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """A repository with one commit, in which the test stands. Its commit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/model.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("nothing that runs\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    git("init", "-qb", "main")
    return commit_all()


def git(*arguments):
    identity = ["-c", "user.name=Recap", "-c", "user.email=recap@example.invalid"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit_all():
    git("add", ".")
    git("commit", "-qm", "run")
    return git("rev-parse", "HEAD")


def test_clean_tree(commit, tmp_path):
    assert uncommitted_changes(tmp_path / "params.yaml") == Changes(commit, [], {})


def test_edited_and_new_files_of_code_count_and_no_others(commit, tmp_path):
    (tmp_path / "src/model.py").write_text("x = 2\n")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/mine.yaml").write_text("process: []\n")
    (tmp_path / "notes.txt").write_text("edited\n")
    git("add", "src/model.py")
    found = uncommitted_changes(tmp_path / "params.yaml")
    assert found.code == ["recipes/mine.yaml", "src/model.py"]
    assert found.params == {}


def test_every_parameter_that_differs_is_told_with_both_values(commit, tmp_path):
    (tmp_path / "params.yaml").write_text("recipe: blip2\nseed: 42\nlora: {r: 8}\nnew: 1\n")
    found = uncommitted_changes(tmp_path / "params.yaml")
    assert found.params == {"recipe": ("baseline", "blip2"), "lora.r": (16, 8), "new": (None, 1)}
    assert list(found.other_params) == ["lora.r", "new"]
    # Layout and comments are no difference.
    (tmp_path / "params.yaml").write_text(PARAMS.replace("{r: 16}", "\n  r: 16  # rank"))
    assert uncommitted_changes(tmp_path / "params.yaml").params == {}


def test_outside_git_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    assert uncommitted_changes(tmp_path / "params.yaml") is None


def test_an_experiment_is_compared_with_the_commit_it_started_from(commit, tmp_path):
    (tmp_path / "src/model.py").write_text("x = 2\n")
    (tmp_path / "params.yaml").write_text(PARAMS.replace("baseline", "blip2"))
    experiment = commit_all()
    assert changes_of_experiment(experiment) is None
    git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/blip2", experiment)
    # DVC keeps other references there, which name no experiment.
    git("update-ref", "refs/exps/exec/EXEC_HEAD", experiment)
    assert changes_of_experiment(experiment) == Changes(commit, ["src/model.py"], {"recipe": ("baseline", "blip2")})

"""`make`: what it runs, what it leaves alone, and how it takes failures and a user without a Git identity."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from recap.experiments.freshness import why_stale
from recap.experiments.git import identity
from recap.experiments.running import Run
from tests.experiments.starts import start
from tests.experiments.stub_project import Project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unprivileged")]


def test_nothing_is_done_twice(made: Project) -> None:
    before = made.experiments()
    done = made.make().stdout
    assert "Nothing to do: the experiments baseline and blip2 are up to date." in done
    assert made.trained() == [] and made.experiments() == before
    assert "dvc metrics diff baseline blip2" in done and "report of blip2: reports/blip2.html" in done
    assert made.read("reports/baseline.html").startswith("<!doctype html> baseline 42")


def test_an_edit_replaces_both_experiments_in_the_same_commit(made: Project) -> None:
    before = made.experiments()
    made.edit("code/model.py", "1", "2")
    done = made.make().stdout
    assert "baseline: changed since: code" in done and "baseline.new is now baseline" in done
    assert made.trained() == ["baseline 42", "blip2 42"]
    assert made.experiments().keys() == before.keys()
    assert [made.loss_of(made.experiment(name)) for name in ("baseline", "blip2")] == [42.2, 42.2]
    assert made.read("reports/baseline.html") == "<!doctype html> baseline 42\n2\n"


@pytest.mark.parametrize("link", ["hardlink", "symlink", "copy"])
def test_every_link_type_takes_an_edit_between_two_runs(fresh: Project, link: str) -> None:
    fresh.run("dvc", "config", "cache.type", link)
    fresh.make("blip2")
    weights = fresh.root / "models/merged/weights"
    assert weights.is_symlink() == (link == "symlink")
    assert (weights.stat().st_nlink > 1) == (link == "hardlink")
    fresh.edit("code/model.py", "1", "2")
    fresh.make("blip2")
    assert fresh.trained() == ["blip2 42"] * 2
    assert weights.read_text().startswith("2") and fresh.read("reports/blip2.html").endswith("\n2\n")
    assert (fresh.root / "reports/blip2.html").stat().st_mode & 0o200


def test_experiments_of_other_commits_stay(made: Project) -> None:
    before, first = made.experiments(), made.head
    made.edit("code/model.py", "1", "2")
    made.commit("another model")
    made.make()
    after = made.experiments()
    assert before.items() <= after.items() and len(after) == 4
    # Names mean the experiments of the commit that is checked out.
    diff = json.loads(made.run("dvc", "metrics", "diff", "--json", f"{first}", "blip2").stdout)
    assert diff["metrics/pretrain.json"]["pretrain.loss_final"]["new"] == 42.2
    made.git("stash", "-qu")
    made.git("checkout", "-q", first)
    assert "Nothing to do" in made.make().stdout
    shown = json.loads(made.run("dvc", "metrics", "diff", "--json", "--all", "baseline", "blip2").stdout)
    assert shown["metrics/pretrain.json"]["pretrain.loss_final"] == {"old": 42.1, "new": 42.1, "diff": 0.0}


def test_a_failed_run_leaves_what_was_there(made: Project) -> None:
    before, params = made.experiments(), made.read("params.yaml")
    made.edit("code/model.py", "1", "2")
    made.write("broken", "baseline 42\n")
    done = made.make(check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: experiment baseline stopped with exit code 255; its own message stands above; the experiment baseline "
        "that was there is untouched"
    )
    assert made.experiments() == before and made.read("params.yaml") == params
    assert made.git("symbolic-ref", "HEAD") == "refs/heads/main"
    (made.root / "broken").unlink()
    made.make()
    assert made.experiments().keys() == before.keys() and made.loss_of(made.experiment("blip2")) == 42.2


def test_an_interrupted_run_ends_in_order(made: Project) -> None:
    before, params = made.experiments(), made.read("params.yaml")
    made.edit("code/model.py", "1", "2")
    process = start(made)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 1 and process.stderr is not None
    told = process.stderr.read().decode().splitlines()[-1]
    assert told == "error: interrupted; started again, it goes on from here"
    assert made.experiments() == before and made.read("params.yaml") == params
    assert made.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_two_at_once_are_one_too_many(made: Project) -> None:
    made.edit("code/model.py", "1", "2")
    process = start(made)
    refused = "error: another `make` runs experiments in this folder; wait for it, or stop it\n"
    assert made.make(check=False).stderr == refused
    # Killed alone: DVC goes on, and so does the lock.
    process.kill()
    process.wait()
    assert made.make(check=False).stderr == refused
    (made.root / "wait").unlink()
    deadline = time.monotonic() + 60
    while made.make(check=False).stderr == refused:
        assert time.monotonic() < deadline
    assert made.loss_of(made.experiment("baseline")) == 42.2 and len(made.experiments()) == 2
    assert "recipe: blip2\n" in made.read("params.yaml")


def test_what_is_stale_alone_is_made_and_the_last_recipe_stays(made: Project) -> None:
    made.edit("recipes/baseline.yaml", "process:", "process:  # nothing")
    blip2 = made.experiment("blip2")
    done = made.make().stdout
    assert made.trained() == ["baseline 42"] and "baseline: changed since: recipes/baseline.yaml" in done
    assert made.experiment("blip2") == blip2
    assert "recipe: blip2\n" in made.read("params.yaml")
    assert "recipe: blip2\n" in made.read("models/merged/weights")
    assert [path.name for path in (made.root / "plots/pretrain").iterdir()] == ["blip2-42.tsv"]
    assert made.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_parameters_count_but_not_how_work_is_spread(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    run = Run("blip2", "blip2", 42)
    params = made.read("params.yaml")
    made.write("params.yaml", params.replace("  process_workers: 1 ", "  process_workers: 3 "))
    assert made.read("params.yaml") != params
    assert why_stale(run, made.head) is None
    made.write("params.yaml", f"{params}\nanother:\n  workers: 3\n")
    assert why_stale(run, made.head) == "other parameters: another"
    made.write("params.yaml", params.replace("  r: 16 ", "  r: 8 "))
    assert why_stale(run, made.head) == "other parameters: lora"


def test_a_pipeline_or_a_stage_that_is_another_is_stale(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    run = Run("blip2", "blip2", 42)
    assert why_stale(Run("blip2", "blip2", 43), made.head) == "other parameters: seed"
    assert why_stale(Run("blip2-s43", "blip2", 43), made.head) == "not there yet"
    pipeline = made.read("dvc.yaml")
    made.write("dvc.yaml", f"# A comment.\n{pipeline}")
    assert why_stale(run, made.head) is None
    made.edit("dvc.yaml", "lora]", "mgm]")
    assert why_stale(run, made.head) == "another dvc.yaml"
    made.write("dvc.yaml", pipeline)
    shutil.rmtree(made.root / "code")
    assert why_stale(run, made.head) == "changed since: code"


def test_a_branch_that_takes_the_name_is_told(made: Project) -> None:
    made.git("branch", "baseline")
    short = made.git("rev-parse", "--short", made.experiment("baseline"))
    done = made.make().stdout
    assert (
        f"note: baseline is also the name of a branch or tag, which comes first; the experiment baseline is {short}"
        in done
    )
    assert f"verdict: make compare A={short} B=blip2" in done
    assert "pretrain.loss_final" in done


def test_a_report_that_was_deleted_comes_back(made: Project) -> None:
    shutil.rmtree(made.root / "reports")
    made.make()
    assert made.trained() == [] and made.read("reports/blip2.html").startswith("<!doctype html> blip2 42")
    made.write("reports/blip2.html", "another")
    shutil.rmtree(made.root / ".dvc/cache")
    done = made.make(check=False)
    assert done.returncode == 1 and "error: blip2: expected data/report/index.html in DVC's cache" in done.stderr


def test_a_plain_clone_with_a_lock_and_no_cache_runs_everything(made: Project, tmp_path: Path) -> None:
    made.commit("results")
    made.git("clone", "-q", str(made.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    assert "dvc.lock" in clone.git("ls-files") and not (clone.root / ".dvc/cache").exists()
    clone.make()
    assert clone.trained() == ["baseline 42", "blip2 42"]
    assert "Nothing to do" in clone.make().stdout


@pytest.mark.parametrize(
    ("configured", "name", "email"),
    [
        ({}, "recap", "recap@localhost"),
        ({"user.email": "me@here.example"}, "recap", "me@here.example"),
        ({"user.name": "Me"}, "Me", "recap@localhost"),
    ],
)
def test_half_an_identity_is_filled_up(
    made: Project, monkeypatch: pytest.MonkeyPatch, configured: dict[str, str], name: str, email: str
) -> None:
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("HOME", made.env["HOME"])
    for key, value in configured.items():
        made.git("config", key, value)
    assert identity() == {
        "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email,
    }  # fmt: skip
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    assert identity()["GIT_AUTHOR_NAME"] == "Somebody"


def test_an_e_mail_alone_is_enough_and_no_configuration_is_touched(made: Project) -> None:
    made.git("config", "user.email", "me@here.example")
    config = made.read(".git/config")
    made.edit("recipes/blip2.yaml", "process:", "process:  # nothing")
    made.make()
    author = made.git("log", "-1", "--format=%an <%ae>", made.experiment("blip2"))
    assert author == "recap <me@here.example>" and made.read(".git/config") == config


def test_bare_dvc_runs_on_a_clean_tree_and_else_says_that_it_wants_an_identity(made: Project) -> None:
    made.run("dvc", "exp", "run", "-n", "mine", "-S", "lora.r=8")
    before = made.experiments()
    assert f"{made.head}/mine" in before
    # Now params.yaml differs from the commit's: DVC stashes it, which takes a name and an address.
    params = made.read("params.yaml")
    done = made.run("dvc", "exp", "run", "-n", "yours", "-S", "lora.r=4", check=False)
    assert done.returncode != 0 and "Git user name and email must be configured" in done.stderr
    assert made.experiments() == before and made.read("params.yaml") == params


def test_without_git_or_recipe_it_says_so(tmp_path: Path, made: Project) -> None:
    done = made.run("python", "-m", "recap.experiments.headline", "baseline", "blop", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: recipes/blop.yaml: expected a recipe, found nothing; there are: baseline, ")
    shutil.rmtree(made.root / ".git")
    done = made.make(check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected a Git repository with a commit, found none here")

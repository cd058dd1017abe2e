"""What a killed `make` leaves in Git, and what the next one makes of it; and what no kill left, which stays."""

import os
import signal
from pathlib import Path

import pytest

from tests.experiments.starts import start, start_now, wait_until_killed
from tests.experiments.stub_project import Project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unprivileged")]

# Python runs it at its start: DVC kills its process group while it has the user's edits in a stash.
KILL = """
import os, signal, sys
if "exp" in sys.orig_argv:
    from dvc.repo.experiments.queue.base import BaseStashQueue
    from scmrepo.git import Git, Stash
    kind, name = os.environ["KILL"].split(".")
    owner = {"Git": Git, "Stash": Stash, "Queue": BaseStashQueue}[kind]
    setattr(owner, name, lambda *_, **__: os.killpg(0, signal.SIGKILL))
"""


def kill(project: Project) -> None:
    """Kill `make` and all that it started while it trains."""
    process = start(project)
    os.killpg(process.pid, signal.SIGKILL)
    wait_until_killed(process)
    (project.root / "wait").unlink()


def state(project: Project) -> list[str]:
    """Of Git's index, of the files, of stashes, and where HEAD is."""
    found = [project.git("status", "--porcelain"), project.git("stash", "list"), project.head]
    return [*found, project.run("git", "symbolic-ref", "-q", "HEAD", check=False).stdout]


@pytest.mark.parametrize("detached", [False, True])
def test_branch_index_and_parameters_come_back(made: Project, detached: bool) -> None:
    made.edit("code/model.py", "1", "2")
    if detached:
        made.git("checkout", "-q", "--detach")
    before, where, params = made.experiments(), state(made)[2:], made.read("params.yaml")
    kill(made)
    # What DVC leaves after a kill.
    assert made.read("params.yaml") != params and made.git("diff", "--cached", "--name-only")
    assert made.run("git", "symbolic-ref", "-q", "HEAD", check=False).returncode == 1
    assert made.experiments() == before
    made.make()
    assert state(made)[2:] == where and made.read("params.yaml") == params
    assert made.experiments().keys() == before.keys()
    assert made.git("diff", "--cached", "--name-only") == "" and made.read("code/model.py") == "2\n"
    assert [made.loss_of(made.experiment(name)) for name in ("baseline", "blip2")] == [42.2, 42.2]


# Aside, and off the branch; back in the files, with the run's parameters; aside again, those noted.
@pytest.mark.parametrize("moment", ["Git.detach_head", "Queue._stash_commit_deps", "Stash.pop"])
def test_edits_that_dvc_had_set_aside_come_back(made: Project, tmp_path: Path, moment: str) -> None:
    made.commit("results")
    made.edit("code/model.py", "1", "2")
    made.write("code/more.py", "new")
    made.git("add", "code/more.py")
    made.git("rm", "-q", "recipes/shuffled.yaml")
    before = state(made)
    (tmp_path / "sitecustomize.py").write_text(KILL)
    wait_until_killed(start_now(made, KILL=moment, PYTHONPATH=f"{tmp_path}:{made.env['PYTHONPATH']}"))
    assert made.git("stash", "list") and made.trained() == []
    done = made.make().stdout
    assert "set edits aside with `git stash`: they are back" in done
    assert made.read("code/more.py") == "new" and not (made.root / "recipes/shuffled.yaml").exists()
    assert [made.loss_of(made.experiment(name)) for name in ("baseline", "blip2")] == [42.2, 42.2]
    assert state(made)[1:] == before[1:]


def test_edits_that_dvc_had_set_aside_are_not_put_over_newer_ones(made: Project, tmp_path: Path) -> None:
    made.commit("results")
    made.edit("code/model.py", "1", "2")
    (tmp_path / "sitecustomize.py").write_text(KILL)
    wait_until_killed(start_now(made, KILL="Stash.pop", PYTHONPATH=f"{tmp_path}:{made.env['PYTHONPATH']}"))
    made.write("code/model.py", "3\n")
    refused = made.make(check=False)
    assert refused.returncode == 1 and "expected the files as a killed `dvc exp run` left them" in refused.stderr
    assert made.read("code/model.py") == "3\n" and made.git("stash", "list")
    made.git("stash", "drop")
    made.make()
    assert made.loss_of(made.experiment("blip2")) == 42.3


def test_a_stash_of_the_users_stays(made: Project) -> None:
    made.commit("results")
    made.edit("code/model.py", "1", "2")
    made.git("stash")
    made.edit("code/model.py", "1", "3")
    kill(made)
    made.git("stash")
    made.make()
    assert made.read("code/model.py") == "1\n" and len(made.git("stash", "list").splitlines()) == 2


def test_what_is_staged_stays_where_dvc_refuses(made: Project) -> None:
    made.write("code/model.py", "2\n")
    made.git("add", "code")
    made.write("code/model.py", "1\n")
    made.edit("recipes/baseline.yaml", "process:", "process:  # nothing")
    before = state(made)
    assert made.make(check=False).returncode == 1
    assert made.git("show", ":code/model.py") == "2" and state(made) == before


def test_a_conflict_is_not_taken_away(made: Project) -> None:
    made.commit("results")
    made.git("switch", "-qc", "side")
    made.write("code/model.py", "2\n")
    side = made.commit("side")
    made.git("switch", "-q", "main")
    made.write("code/model.py", "3\n")
    made.commit("main")
    assert made.run("git", "cherry-pick", side, check=False).returncode == 1
    before = state(made)
    refused = made.make(check=False)
    assert refused.returncode == 1 and "code/model.py: expected no file with a conflict" in refused.stderr
    assert state(made) == before and "UU code/model.py" in before[0]

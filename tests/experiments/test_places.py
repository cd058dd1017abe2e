"""Where a project may live, and what works beside what: each place either works or is refused in one line.

On a project of one stage that takes no time. docs/RELIABILITY.md has the table that these tests hold to.
"""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiments.stub_project import HEADLINE, Project
from tests.unprivileged import obey_file_modes

pytestmark = pytest.mark.slow

DVC = ("python", "-m", "dvc")
TRAINED = ["baseline 42", "blip2 42"]


def assert_makes(project: Project) -> None:
    """`make` trains both recipes once, and then finds nothing to do."""
    first = project.make()
    assert project.trained() == TRAINED
    assert "dvc metrics diff baseline blip2" in first.stdout
    for recipe in ("baseline", "blip2"):
        assert project.read(f"reports/{recipe}.html").startswith(f"<!doctype html> {recipe} 42")
    assert "Nothing to do" in project.make().stdout and project.trained() == []


def start(project: Project, *command: str) -> subprocess.Popen[str]:
    """Start a command whose stage waits until the file `wait` is gone; returns when the stage is at work."""
    project.write("wait", "")
    process = subprocess.Popen(
        command, cwd=project.root, env=project.env, preexec_fn=obey_file_modes, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (project.root / "ran").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_a_path_with_blanks_and_an_apostrophe(fresh_project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "Anna's own  things"
    folder.mkdir()
    assert_makes(fresh_project.copy(folder))


def test_a_folder_of_somebody_elses_repository(fresh: Project, tmp_path: Path) -> None:
    outer = tmp_path / "their things"
    outer.mkdir()
    (outer / "notes.txt").write_text("Nothing of ours.\n")
    shutil.rmtree(fresh.root / ".git")
    project = fresh.copy(outer)
    subprocess.run(["git", "init", "-qb", "main", outer], check=True)
    project.git("add", "-A", "..")
    project.commit("start")
    assert_makes(project)
    assert project.git("ls-tree", "-r", "--name-only", "--full-tree", project.experiment("blip2")).startswith("notes")
    project.edit("code/model.py", "1", "2")
    again = project.make()
    assert "changed since: code" in again.stdout and project.trained() == TRAINED


def test_a_shallow_clone_on_a_detached_head(fresh: Project, tmp_path: Path) -> None:
    fresh.write("code/model.py", "2\n")
    fresh.commit("second")
    folder = tmp_path / "shallow"
    folder.mkdir()
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{fresh.root}", folder / "project"], check=True)
    project = Project(folder / "project")
    project.git("checkout", "-q", "--detach")
    assert_makes(project)
    assert project.run("git", "symbolic-ref", "-q", "HEAD", check=False).returncode == 1
    assert project.git("rev-list", "--count", "HEAD") == "1"


def test_worktrees_share_experiments_and_a_cache_that_both_name(fresh: Project, tmp_path: Path) -> None:
    fresh.git("worktree", "add", "-qb", "other", str(tmp_path / "tree"))
    tree = Project(tmp_path / "tree")
    assert_makes(tree)
    refused = fresh.make(check=False)
    assert refused.returncode == 1 and "found it in neither (a Git worktree has a cache of its own" in refused.stderr
    assert fresh.trained() == []
    fresh.run(*DVC, "cache", "dir", "--local", str(tree.root / ".dvc/cache"))
    assert "Nothing to do" in fresh.make().stdout
    assert fresh.read("reports/blip2.html") == tree.read("reports/blip2.html")


def test_two_worktrees_with_one_cache_at_once(fresh: Project, tmp_path: Path) -> None:
    fresh.git("worktree", "add", "-qb", "other", str(tmp_path / "tree"))
    tree = Project(tmp_path / "tree")
    tree.run(*DVC, "cache", "dir", "--local", str(fresh.root / ".dvc/cache"))
    working = [start(project, *DVC, "repro") for project in (fresh, tree)]
    for project, process in zip((fresh, tree), working, strict=True):
        (project.root / "wait").unlink()
        assert process.communicate(timeout=120) and process.returncode == 0
    assert fresh.trained() == tree.trained() == ["blip2 42"]
    assert fresh.read("dvc.lock") == tree.read("dvc.lock")
    for project in (fresh, tree):
        assert "up to date" in project.run(*DVC, "status").stdout


# `dvc repro` that is in the middle of a note for the run-cache when another one, in the folder named, starts and ends.
MEETING = """\
import subprocess, sys
from dvc.cli import main
from dvc.utils import serialize

def meet(path, note):
    with open(path, "w") as file:
        if path.endswith(".tmp"):
            subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=sys.argv[1], check=True, capture_output=True)
        file.write(serialize.dumps_yaml(note))

serialize.dump_yaml = meet
sys.exit(main(["repro", "process"]))
"""


def test_of_two_that_note_the_same_stage_at_once_one_fails_and_goes_on(fresh: Project, tmp_path: Path) -> None:
    """DVC takes a note that another one is writing for a corrupted one, and deletes it."""
    fresh.git("worktree", "add", "-qb", "other", str(tmp_path / "tree"))
    tree = Project(tmp_path / "tree")
    tree.run(*DVC, "cache", "dir", "--local", str(fresh.root / ".dvc/cache"))
    met = fresh.run("python", "-c", MEETING, str(tree.root), check=False)
    assert met.returncode != 0 and "failed to reproduce 'process'" in met.stderr and ".tmp'" in met.stderr
    again = fresh.run(*DVC, "repro")
    assert again.stdout.count("is cached - skipping run") == 2
    assert tree.trained() == ["blip2 42"] and fresh.trained() == []
    assert fresh.read("dvc.lock") == tree.read("dvc.lock")


def test_files_without_git_are_refused(fresh: Project) -> None:
    shutil.rmtree(fresh.root / ".git")
    refused = fresh.make(check=False)
    assert refused.returncode == 1 and refused.stdout == ""
    assert (
        refused.stderr.startswith("error: expected a Git repository with a commit") and refused.stderr.count("\n") == 1
    )
    assert "is not a git repository" in fresh.run(*DVC, "repro", check=False).stderr
    # What the documents give for it.
    fresh.run(*DVC, "config", "--local", "core.no_scm", "true")
    fresh.run(*DVC, "repro")
    assert fresh.trained() == ["blip2 42"]


def test_make_beside_a_repro_is_refused_and_disturbs_nothing(fresh: Project) -> None:
    running = start(fresh, *DVC, "repro")
    refused = fresh.make(check=False)
    assert refused.returncode == 1 and refused.stdout == ""
    assert refused.stderr == (
        f"error: expected no other DVC at work in this folder, found process {running.pid} in a stage (dvc repro); "
        "wait for it or stop it, or work in a second clone or `git worktree`\n"
    )
    second = fresh.run(*DVC, "repro", check=False)
    assert second.returncode != 0 and f"(PID {running.pid})" in second.stderr
    (fresh.root / "wait").unlink()
    assert running.communicate(timeout=120) and running.returncode == 0
    assert fresh.trained() == ["blip2 42"]
    assert fresh.make().returncode == 0 and fresh.trained() == ["baseline 42"]


def test_a_killed_dvc_keeps_nobody_out(fresh: Project) -> None:
    running = start(fresh, *DVC, "repro")
    running.kill()
    running.wait()
    (fresh.root / "wait").unlink()
    assert "pid" in fresh.read(".dvc/tmp/rwlock")
    fresh.trained()
    fresh.make()
    assert fresh.trained() == TRAINED


def test_a_repro_beside_make_is_refused_and_disturbs_nothing(fresh: Project) -> None:
    running = start(fresh, *HEADLINE)
    refused = fresh.run(*DVC, "repro", check=False)
    assert refused.returncode != 0 and "is busy, it is being blocked by" in refused.stderr
    (fresh.root / "wait").unlink()
    assert running.communicate(timeout=120) and running.returncode == 0
    assert fresh.trained() == TRAINED


@pytest.fixture
def noting(fresh: Project) -> Project:
    """Training notes where it works, and fails where another one left a scratch folder or is at work in it."""
    fresh.edit("train.sh", "set -e\n", 'set -e\nmkdir .scratch\npwd >> "$HOME/places"\n')
    fresh.edit("train.sh", 'echo \'{"seconds"', 'rmdir .scratch\necho \'{"seconds"')
    # `dvc exp run` by itself asks for an identity.
    fresh.git("config", "user.name", "Anna")
    fresh.git("config", "user.email", "anna@example.invalid")
    fresh.commit("notes where it trains")
    return fresh


def places_of(project: Project) -> list[str]:
    return (project.root.parent / "places").read_text().splitlines()


def run_experiment(project: Project, seed: int, *how: str) -> None:
    project.run(*DVC, "exp", "run", *how, "--name", f"s{seed}", "-S", f"seed={seed}")


def lock_of(project: Project, seed: int) -> str:
    commit = project.experiment(f"s{seed}")
    assert project.loss_of(commit) == seed + 0.1
    return project.git("show", f"{commit}:dvc.lock")


def logged(project: Project, seed: int) -> str:
    """What the worker of a queued experiment has said so far."""
    shown = project.run(*DVC, "queue", "logs", f"s{seed}", check=False)
    return f"s{seed}: {shown.stdout}{shown.stderr}"


def test_queued_experiments_end_as_one_after_the_other(noting: Project, tmp_path: Path) -> None:
    """Three by two workers, each in a folder of its own; and three in the workspace.

    What they share is made before: DVC 3.67 can fail one of two that make the same stage, where one looks into the
    run-cache in the moment in which the other notes the stage there (`StageCache._load` takes the note that is being
    written for a corrupted one, and deletes it).
    """
    seeds = (5, 6, 7)
    noting.run(*DVC, "repro", "process")
    noting.commit("what the experiments share")
    (tmp_path / "alone").mkdir()
    alone = noting.copy(tmp_path / "alone")
    for seed in seeds:
        run_experiment(noting, seed, "--queue")
    noting.run(*DVC, "queue", "start", "--jobs", "2")
    for seed in seeds:
        run_experiment(alone, seed)
    assert places_of(alone) == [str(alone.root)] * 3
    deadline = time.monotonic() + 300
    while len(noting.experiments()) < 3:
        assert time.monotonic() < deadline, "\n".join(logged(noting, seed) for seed in seeds)
        time.sleep(1)
    assert len(set(places_of(noting))) == 3 and str(noting.root) not in places_of(noting)
    assert [lock_of(noting, seed) for seed in seeds] == [lock_of(alone, seed) for seed in seeds]
    # The workspace is as it was.
    assert noting.git("status", "--porcelain") == "" and not (noting.root / "ran").exists()


def test_an_experiment_in_a_temporary_folder_leaves_the_workspace_alone(noting: Project, tmp_path: Path) -> None:
    """Even while a stage is at work in it, which `dvc exp run` itself would disturb."""
    (tmp_path / "alone").mkdir()
    alone = noting.copy(tmp_path / "alone")
    run_experiment(alone, 5)
    running = start(noting, *DVC, "repro")
    run_experiment(noting, 5, "--temp")
    assert running.poll() is None
    (noting.root / "wait").unlink()
    assert running.communicate(timeout=120) and running.returncode == 0
    assert noting.trained() == ["blip2 42"]
    assert lock_of(noting, 5) == lock_of(alone, 5)
    assert "up to date" in noting.run(*DVC, "status").stdout
    beside, here = sorted(places_of(noting), key=len, reverse=True)
    assert here == str(noting.root) and beside.startswith(f"{here}/.dvc/tmp/exps/")

""".github/workflows: sound scripts, few rights, and a comment that holds what was found."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from recap.params import read_yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RIGHTS = {"test": {"contents": "read"}, "compare": {"contents": "read", "pull-requests": "write"}}
OTHERS_ACTIONS = {"actions/checkout", "actions/setup-python"}

IDENTITY = ["-c", "user.name=recap", "-c", "user.email=recap@localhost"]


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read_yaml(request.param)


def test_there_are_the_two() -> None:
    assert [path.stem for path in WORKFLOWS] == ["compare", "test"]


def test_rights_are_no_more_than_needed(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == RIGHTS[workflow["name"]]
    # `pull_request_target` would hand a fork's code the repository's secrets.
    assert set(workflow["on"]) <= {"push", "pull_request"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job and job["timeout-minutes"] <= 120
    [checkout] = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["persist-credentials"] is False


def test_what_may_write_runs_no_forks_code() -> None:
    for job in read_yaml(ROOT / ".github/workflows/compare.yml")["jobs"].values():
        assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


def test_actions_are_few_and_pinned(workflow: dict[str, Any]) -> None:
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            action, version = step["uses"].split("@")
            assert action in OTHERS_ACTIONS and re.fullmatch(r"v\d+|[0-9a-f]{40}", version)


def test_scripts_are_bash_and_take_values_from_the_environment_alone(workflow: dict[str, Any]) -> None:
    """GitHub puts `${{ }}` into a script as text: a branch's name would become a command."""
    for step in steps(workflow):
        if "run" in step:
            assert "${{" not in step["run"]
            done = subprocess.run(["bash", "-n"], input=step["run"], text=True, capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


def test_the_tests_run_under_every_python_that_is_supported() -> None:
    matrix = read_yaml(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11,<3.13"' in project and matrix["python"] == ["3.11", "3.12"]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for path in WORKFLOWS:
        for target in re.findall(r"make (\w+)", " ".join(step.get("run", "") for step in steps(read_yaml(path)))):
            assert target in targets


@pytest.mark.parametrize("refused", [False, True])
def test_the_comment_holds_the_metrics_and_the_verdict_or_why_there_is_none(tmp_path: Path, refused: bool) -> None:
    """The step that writes it, with `dvc` and `python` that answer as told."""
    [script] = [
        step["run"]
        for step in steps(read_yaml(ROOT / ".github/workflows/compare.yml"))
        if step.get("name") == "Compare base and head"
    ]
    python = "echo 'error: other captioners' >&2; exit 1" if refused else 'echo "| VQAv2 | better | $* |"'
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name, body in (("dvc", 'echo "| accuracy | 1.0 | $*"'), ("python", python)):
        (tmp_path / ".venv/bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / ".venv/bin" / name).chmod(0o755)
    (tmp_path / ".venv/bin/activate").write_text(f"PATH={tmp_path}/.venv/bin:$PATH\n")
    git = ["git", "-C", str(tmp_path), *IDENTITY]
    subprocess.run([*git, "init", "-q"], check=True)
    shas = []
    for message in ("base", "head"):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
        done = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        shas.append(done.stdout.strip())
    environment = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "BASE": shas[0], "HEAD": shas[1],
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }  # fmt: skip
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    comment = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert f"| accuracy | 1.0 | metrics diff --md {shas[0]} {shas[1]}" in comment
    verdict = "None:\n\n```\nerror: other captioners\n```" if refused else "| VQAv2 | better |"
    assert verdict in comment.split("### Verdict")[1]
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == comment

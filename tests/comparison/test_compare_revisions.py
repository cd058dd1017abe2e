"""`python -m recap.comparison` on a real repository: what it prints, and what it refuses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs_repository import commit_edit, git

from recap.comparison import __main__ as command


@pytest.fixture
def compare(runs, monkeypatch, capsys):
    """Run the command in the repository; return what it prints, or raise its UserError."""

    def run(*arguments: str, folder: Path = runs) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["compare", *arguments])
        command.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def copy(runs, tmp_path):
    """A copy of the repository that a test may spoil."""
    return shutil.copytree(runs, tmp_path / "copy", symlinks=True)


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_verdict_of_two_branches(compare):
    text = compare("baseline", "blip2")
    assert text.index("Parameters that differ") < text.index("Metrics") < text.index("Verdict")
    assert line_of(text, "recipe").split() == ["recipe", "baseline", "->", "blip2"]
    assert line_of(text, "textvqa.accuracy").split()[-1] == "+34.5"
    assert line_of(text, "textvqa  ").endswith("better")
    assert line_of(text, "mmbench  ").endswith("worse")
    assert line_of(text, "gqa  ").endswith("can't tell")
    assert "blip2 against baseline: better: textvqa; worse: mmbench; can't tell: gqa." in text
    assert "seed variance unknown" in text


def test_tags_commits_and_the_workspace_are_revisions(compare, runs):
    commit = git(runs, "rev-parse", "baseline")
    expected = line_of(compare("baseline", "blip2"), "textvqa  ")
    assert line_of(compare(commit, "headline"), "textvqa  ").split() == expected.split()
    # The workspace is as blip2 committed it.
    assert "mmbench" in compare("baseline", "workspace")


def test_experiment_names_are_revisions(compare, copy):
    base, tried = git(copy, "rev-parse", "main"), git(copy, "rev-parse", "blip2-s2")
    git(copy, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/bold-try", tried)
    assert line_of(compare("baseline", "bold-try", folder=copy), "B  bold-try").split()[2] == tried[:7]


def test_benchmark_that_one_side_lacks_is_told(compare, copy):
    for name in ("gqa.jsonl", "gqa.jsonl.dvc"):
        (copy / "data/scores" / name).unlink()
    text = compare("baseline", "workspace", folder=copy)
    assert "not compared, because not every revision scored it: gqa" in text
    assert "better: textvqa; worse: mmbench; can't tell: none." in text


def test_verdict_as_json(compare, tmp_path):
    compare("baseline", "blip2", "--json", str(tmp_path / "verdict.json"))
    found = json.loads((tmp_path / "verdict.json").read_text())
    assert found["params"] == {"recipe": {"a": "baseline", "b": "blip2"}}
    assert {name: row["verdict"] for name, row in found["benchmarks"].items()} == {
        "textvqa": "better",
        "mmbench": "worse",
        "gqa": "can't tell",
    }
    row = found["benchmarks"]["textvqa"]
    assert (row["questions"], row["images"]) == (200, 100)
    assert row["low"] < row["difference"] < row["high"]
    assert found["seed_variance"] == "unknown"


def test_several_seeds_a_side(compare, tmp_path):
    text = compare("--a", "baseline,baseline-s2", "--b", "blip2,blip2-s2", "--json", str(tmp_path / "verdict.json"))
    assert "seed variance unknown" not in text
    found = json.loads((tmp_path / "verdict.json").read_text())
    assert found["seed_variance"] == "known"
    assert found["benchmarks"]["textvqa"]["seed_standard_error"] >= 0
    assert [run["seed"] for run in found["a"]] == [1, 2]


def test_same_commit_is_said(compare):
    with pytest.raises(command.UserError, match="blip2 and headline are the same commit"):
        compare("blip2", "headline")


def test_unknown_revision(compare):
    with pytest.raises(command.UserError, match=r"nonsense: expected an experiment, branch, tag or commit"):
        compare("baseline", "nonsense")


def test_one_seed_against_two(compare):
    with pytest.raises(command.UserError, match="expected one run on both sides or several on both"):
        compare("baseline", "blip2,blip2-s2")


def test_a_side_is_one_recipe(compare):
    with pytest.raises(command.UserError, match="differ in nothing but the seed"):
        compare("baseline,blip2", "blip2,blip2-s2")


def test_scores_that_are_not_in_the_cache(compare, copy):
    shutil.rmtree(copy / ".dvc/cache")
    with pytest.raises(
        command.UserError, match=r"baseline: expected data/scores/textvqa.jsonl in DVC's cache .*dvc fetch"
    ):
        compare("baseline", "blip2", folder=copy)


def test_other_questions_are_not_paired(compare, copy):
    commit_edit(copy, "data/scores/gqa.jsonl", lambda text: text.split("\n", 3)[3].replace('"q199"', '"extra"'))
    with pytest.raises(command.UserError, match=r"gqa: .* found 4 only in baseline and 1 only in blip2 \(196 shared\)"):
        compare("baseline", "blip2", folder=copy)


def test_other_answers_to_the_same_keys_are_not_paired(compare, copy):
    commit_edit(copy, "data/scores/gqa.jsonl", lambda text: text.replace('["red"]', '["blue"]', 7))
    with pytest.raises(command.UserError, match=r"gqa: .* found 7 keys whose image, question or answers differ"):
        compare("baseline", "blip2", folder=copy)


def test_other_prompts_are_not_paired(compare, copy):
    commit_edit(copy, "metrics/textvqa.json", lambda text: text.replace("f00d", "beef"))
    with pytest.raises(command.UserError, match=r"textvqa: expected the same prompt_fingerprint .* blip2 'beef'"):
        compare("baseline", "blip2", folder=copy)


def test_code_that_differs_is_told(compare, copy):
    commit_edit(copy, "src/model.py", lambda text: text + "y = 2\n")
    assert "differ too, in 1 file(s): src/model.py" in compare("baseline", "blip2", folder=copy)


def test_command_starts_without_torch():
    code = "import sys, recap.comparison.__main__; assert not {'torch', 'scipy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

"""CONTRIBUTING.md, followed to the letter: its blocks are applied to a clone, whose checks and pipeline then run."""

import json
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.clones import Clone, ran

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = ("A recipe", "An operator", "A benchmark", "A model", "A stage")

# Tests that count recipes, operators, benchmarks and stages, or hold the pipeline to its rules.
CHECKS = (
    "tests/test_pipeline.py", "tests/data/benchmarks/test_registry.py", "tests/data/processing/test_recipe_files.py",
    "tests/data/processing/test_recipe_runs.py",
)  # fmt: skip


@dataclass(frozen=True)
class Followed:
    """A clone to which every section was applied.

    Attributes:
        clone: The project with all that the sections add.
        overrides: What each section's command sets.
    """

    clone: Clone
    overrides: dict[str, list[str]]


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Language, path (empty where there is none) and content of each fenced block."""
    return re.findall(r"^```(\w*) ?(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def apply(clone: Clone, title: str) -> list[str]:
    """Write a section's files and make its changes; the words of its command."""
    [command] = [content for language, _, content in blocks(section(title)) if language == "bash"]
    for language, path, content in blocks(section(title)):
        if path:
            assert not (clone.root / path).exists(), path
            (clone.root / path).write_text(content, encoding="utf-8")
        elif language == "diff":
            patch = clone.root.parent / "change.diff"
            patch.write_text(content, encoding="utf-8")
            clone.run("git", "apply", "--recount", str(patch))
    return shlex.split(command)


def overridden(command: list[str]) -> list[str]:
    return [word for flag, word in pairwise(command) if flag == "-S"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("contributing")
    clone = Clone(folder)
    commands = {title: apply(clone, title) for title in SECTIONS}
    shutil.copytree(clone.root / "models/tiny/captioner", folder / "my-captioner")
    overrides = {
        title: [word.replace("/path/to/my-captioner", str(folder / "my-captioner")) for word in overridden(command)]
        for title, command in commands.items()
    }
    clone.commit("As CONTRIBUTING.md says")
    return Followed(clone, overrides)


@pytest.fixture(scope="module")
def finished(followed: Followed) -> Followed:
    """One run for all sections: the operator's recipe, the new benchmark, the model by its path, the stage."""
    clone = followed.clone
    file = clone.root / "params.yaml"
    yaml = YAML()
    params = yaml.load(file.read_text(encoding="utf-8"))
    params["benchmarks"] = {"gqa": "gqa"}
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(params, stream)
    flags = [
        part for title in SECTIONS if title != "A recipe" for word in followed.overrides[title] for part in ("-S", word)
    ]
    clone.dvc("exp", "run", *flags, "longest", "score@gqa_verify")
    return followed


def rows(clone: Clone, name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (clone.root / name).read_text(encoding="utf-8").splitlines()]


def test_every_section_has_its_command_and_what_it_changes() -> None:
    for title in SECTIONS:
        languages = [language for language, _, _ in blocks(section(title))]
        assert languages.count("bash") == 1, title
        assert title == "A model" or "diff" in languages, title


@pytest.mark.slow
def test_the_checks_hold_of_what_was_added(followed: Followed) -> None:
    python = [sys.executable, "-m"]
    changed = followed.clone.run("git", "diff", "--name-only", "HEAD~1").stdout.split()
    followed.clone.run(*python, "ruff", "check", *(name for name in changed if name.endswith(".py")))
    followed.clone.run(*python, "pytest", "-n", "0", "-p", "no:cacheprovider", *CHECKS)


@pytest.mark.slow
def test_the_operator_decides_in_its_recipe(finished: Followed) -> None:
    kept = rows(finished.clone, "data/processed/train.jsonl")
    raw = rows(finished.clone, "data/raw_captions.jsonl")
    with_digits = {row["id"] for row in raw if re.search(r"\d", row["caption"])}
    assert with_digits and {row["id"] for row in kept} == {row["id"] for row in raw} - with_digits


@pytest.mark.slow
def test_the_benchmark_is_answered_and_scored(finished: Followed) -> None:
    questions = json.loads((finished.clone.root / "data/benchmarks/gqa/testdev_balanced_questions.json").read_bytes())
    verify = {key for key, row in questions.items() if row["types"]["structural"] == "verify"}
    assert {str(row["question_id"]) for row in rows(finished.clone, "data/answers/gqa_verify.jsonl")} == verify
    metrics = json.loads((finished.clone.root / "metrics/gqa_verify.json").read_text(encoding="utf-8"))
    assert 0 <= metrics["gqa_verify"]["accuracy"] <= 100


@pytest.mark.slow
def test_the_model_was_checked_and_used_by_its_path(finished: Followed) -> None:
    [override] = finished.overrides["A model"]
    lock = (finished.clone.root / "dvc.lock").read_text(encoding="utf-8")
    assert f"path: {override.split('=')[1]}\n" in lock


@pytest.mark.slow
def test_the_stage_lists_the_longest_captions(finished: Followed) -> None:
    listed = rows(finished.clone, "data/longest.jsonl")
    words = [int(row["words"]) for row in listed]
    captions = {row["id"]: row["text"].split("> ", 1)[1] for row in rows(finished.clone, "data/processed/train.jsonl")}
    assert len(listed) == 20 and words == sorted(words, reverse=True)
    assert words[0] == max(len(caption.split("<")[0].split()) for caption in captions.values())


@pytest.mark.slow
def test_the_recipe_runs(finished: Followed) -> None:
    [override] = finished.overrides["A recipe"]
    done = finished.clone.dvc("exp", "run", "-S", override, "longest")
    assert ran(done) == ["process", "longest"]
    assert max(int(row["words"]) for row in rows(finished.clone, "data/longest.jsonl")) <= 20

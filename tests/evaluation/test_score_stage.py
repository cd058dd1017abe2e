"""The score stage, from answer files to metrics, scores and plots; and how soon it starts."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recap.data.benchmarks.registry import BENCHMARKS
from recap.io import write_jsonl


def write_answers(path: Path, folder: Path, texts: list[str]) -> None:
    questions = BENCHMARKS[folder.name].load(folder)
    rows: list[dict[str, Any]] = [
        {"key": question.key, "prompt": question.text, "text": text, "metadata": {}}
        for question, text in zip(questions, texts, strict=False)
    ]
    write_jsonl(path, rows)


def score(root: Path, work: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    out = [work / name for name in ("metrics.json", "scores.jsonl", "plots", "timing.json", "details.json")]
    command = [
        sys.executable, str(root / "stages" / "score.py"), "--benchmark", folder.name, "--questions", str(folder),
        "--answers", str(work / "answers.jsonl"), "--blank-answers", str(work / "blank.jsonl"),
        "--metrics", str(out[0]), "--scores", str(out[1]), "--plots", str(out[2]), "--timing", str(out[3]),
        "--details", str(out[4]),
        "--params", str(root / "params.yaml"),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_metrics_scores_and_plots(root: Path, vqav2_folder: Path, tmp_path: Path) -> None:
    write_answers(tmp_path / "answers.jsonl", vqav2_folder, ["yes", "2", "cat"])
    write_answers(tmp_path / "blank.jsonl", vqav2_folder, ["yes", "1", "cat"])
    result = score(root, tmp_path, vqav2_folder)
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())["vqav2"]
    assert metrics["accuracy"] == 66.666667 and metrics["blank_accuracy"] == 33.333333
    assert list(metrics) == ["accuracy", "accuracy_stderr", "blank_accuracy"]
    details = json.loads((tmp_path / "details.json").read_text())["vqav2"]
    assert details["num_scored"] == 3 and {"convention", "prompt_fingerprint", "by_answer_type"} <= set(details)
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(row["key"], row["score"], row["blank_score"]) for row in rows] == [
        ("420", 1.0, 1.0), ("421", 1.0, 0.0), ("70", 0.0, 0.0),
    ]  # fmt: skip
    with (tmp_path / "plots" / "by_type.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert table[0] == {
        "group": "answer_type", "type": "number", "accuracy": "100.0", "accuracy_stderr": "", "num_questions": "1",
    }  # fmt: skip


def test_without_a_blank_pass_its_accuracy_is_null(root: Path, gqa_folder: Path, tmp_path: Path) -> None:
    write_answers(tmp_path / "answers.jsonl", gqa_folder, ["red", "yes"])
    (tmp_path / "blank.jsonl").write_text("")
    assert score(root, tmp_path, gqa_folder).returncode == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())["gqa"]
    assert metrics["accuracy"] == 100.0 and metrics["blank_accuracy"] is None


def test_results_of_another_tool_are_scored(root: Path, vqav2_folder: Path, tmp_path: Path) -> None:
    """As the benchmark's server takes them; without annotations there is one line."""
    results = [{"question_id": number, "answer": text} for number, text in ((420, "yes"), (421, "3"), (70, "dog"))]
    (tmp_path / "answers.jsonl").write_text(json.dumps(results))
    (tmp_path / "blank.jsonl").write_text("")
    assert score(root, tmp_path, vqav2_folder).returncode == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["vqav2"]["accuracy"] == pytest.approx(100 / 3, abs=1e-4)
    (vqav2_folder / "v2_mscoco_val2014_annotations.json").unlink()
    result = score(root, tmp_path, vqav2_folder)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "expected the right answers of 3 questions" in result.stderr


def test_unanswered_questions_beyond_the_limit_stop_the_stage(root: Path, gqa_folder: Path, tmp_path: Path) -> None:
    write_answers(tmp_path / "answers.jsonl", gqa_folder, ["red"])
    (tmp_path / "blank.jsonl").write_text("")
    result = score(root, tmp_path, gqa_folder)
    assert result.returncode == 1 and not (tmp_path / "metrics.json").exists()
    assert "score.max_unanswered" in result.stderr and "no_answer: 1" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("module", ["torch", "transformers", "pandas", "PIL"])
def test_scoring_needs_no_heavy_module(module: str) -> None:
    names = ("data.benchmarks.registry", "evaluation.scoring.registry", "evaluation.scoring.results")
    imports = ", ".join(f"recap.{name}" for name in names)
    code = f"import sys, {imports}; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

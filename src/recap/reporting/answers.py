"""A scored answer in words, and the picture that it is about.

In: rows of `data/scores/<benchmark>.jsonl`, and the benchmark's official files.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from recap.data.benchmarks.registry import BENCHMARKS

Row = dict[str, Any]


def accepted(row: Row) -> str:
    """ "red (8), dark red (2)"; one answer alone without its count; an option's letter with its text."""
    answers: list[str] = row["answers"]
    options: dict[str, str] = row.get("options", {})
    if len(answers) == 1:
        return f"{answers[0]}. {options[answers[0]]}" if answers[0] in options else answers[0]
    return ", ".join(f"{answer} ({count})" for answer, count in Counter(answers).most_common(4))


def rotations(row: Row) -> str | None:
    """ "right under 2 of 4 rotations" for a question that was asked under every rotation of its options, else None."""
    asked = row.get("rotations")
    if not asked:
        return None
    right = sum(rotation["extracted"] == rotation["answer"] for rotation in asked)
    return f"right under {right} of {len(asked)} rotations"


def question_images(benchmarks: Path, benchmark: str) -> tuple[Path, dict[str, str]]:
    """The folder of a benchmark's files, and {question key: image}: a path below it or a data URI.

    Without the folder, or for a benchmark that Recap no longer knows, there are no images.

    Args:
        benchmarks: The folder of all benchmarks' folders.
        benchmark: Its name.

    Raises:
        UserError: The folder is there, but not in the official layout.
    """
    if benchmark not in BENCHMARKS:
        return benchmarks, {}
    folder = benchmarks / BENCHMARKS[benchmark].folder
    questions = BENCHMARKS[benchmark].load(folder) if folder.is_dir() else []
    return folder, {question.key: question.image for question in questions}

"""The question that every benchmark reduces to."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recap.data.corpus.index import index_of
from recap.runtime.errors import UserError

DATA_URI = "data:;base64,"

# LLaVA's instruction for benchmarks whose answers are short phrases (2310.03744, table 7).
SHORT_ANSWER = "Answer the question using a single word or phrase."


@dataclass(frozen=True)
class Question:
    """One prompt about one image.

    Attributes:
        key: Unique within its benchmark; answers and scores are joined by it.
        question_id: What LLaVA's answer file calls so. TextVQA puts the image there, so it may repeat.
        image: Path below the benchmark's folder, or `data:;base64,...` where the benchmark embeds its images.
        image_id: Equal for questions about the same image.
        question: The bare question, for people.
        text: The prompt, verbatim; the model's chat template is still to be put around it.
        references: Accepted answers: ten annotators', or the one of GQA and MMBench.
        groups: What results are broken down by, for example {"answer_type": "yes/no"}.
        row: Benchmark-specific columns that scoring needs.
    """

    key: str
    question_id: str | int
    image: str
    image_id: str
    question: str
    text: str
    references: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)


def prompt_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def prompt_fingerprint(questions: Iterable[Question]) -> str:
    """16 hexadecimal digits that change when any prompt, its image or the set of questions does."""
    lines = sorted(f"{question.key}\0{question.image_id}\0{question.text}" for question in questions)
    return prompt_hash("\x1e".join(lines))


def check_questions(questions: Sequence[Question], path: Path) -> list[Question]:
    """Refuse an empty benchmark and keys that repeat: a repeated key would lose a question silently.

    Raises:
        UserError: Names the file and the first repeated key.
    """
    if not questions:
        raise UserError(f"{path}: expected at least one question, found none")
    seen: set[str] = set()
    for question in questions:
        if question.key in seen:
            raise UserError(f"{path}: expected unique question ids, found {question.key!r} twice; number them anew")
        seen.add(question.key)
    return list(questions)


class ImageNames:
    """Finds an image whose row names it without its extension: `train_images/<image_id>.jpg` or `.png`."""

    def __init__(self, folder: Path, subfolder: str) -> None:
        self.subfolder = subfolder
        directory = folder / subfolder
        index = index_of(folder)
        files = index.names if index is not None else directory.iterdir() if directory.is_dir() else []
        self.names = {path.stem: path.name for path in sorted(map(Path, files)) if path.parent.name == subfolder}

    def path(self, stem: str) -> str:
        """Path below the benchmark's folder. An image that is not there is called `.jpg`; opening it then fails."""
        return f"{self.subfolder}/{self.names.get(stem, f'{stem}.jpg')}"

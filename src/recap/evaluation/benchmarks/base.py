"""What all benchmarks share: questions from a folder. How answers are scored is `recap.evaluation.scoring`'s."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from recap.evaluation.benchmarks.questions import Question, check_questions
from recap.runtime.errors import UserError


class Benchmark(ABC):
    """One benchmark's official files.

    Attributes:
        name: Its name in params.yaml and in paths.
    """

    name: ClassVar[str]

    @abstractmethod
    def read(self, folder: Path, *, ocr_tokens: bool) -> list[Question]:
        """Parse the benchmark's official files. A row of another shape raises KeyError, ValueError or the like."""

    def load(self, folder: str | Path, *, ocr_tokens: bool = False) -> list[Question]:
        """Questions in file order, with unique keys and exact prompts.

        Args:
            folder: The benchmark's folder in its official layout (docs/DATA.md).
            ocr_tokens: Put the benchmark's OCR tokens into the prompts; only TextVQA has any.

        Raises:
            UserError: A file or field is missing, a key repeats, or there is no question.
        """
        folder = Path(folder)
        try:
            questions = self.read(folder, ocr_tokens=ocr_tokens)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise UserError(
                f"{folder}: expected {self.name}'s official format (docs/DATA.md), found {problem}"
            ) from None
        return check_questions(questions, folder)

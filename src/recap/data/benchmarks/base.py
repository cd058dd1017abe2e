"""What all benchmarks share: a name, official files, and questions read from them or written to them.

Everything about a benchmark's files stands in its own module: what they are called, what their rows hold, how the
model is asked, and how the embedded world fills them. How answers are scored is `recap.evaluation.scoring`'s; the
benchmark names the rule.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from recap.data.benchmarks.questions import Question, check_questions
from recap.runtime.errors import UserError

if TYPE_CHECKING:  # A change of the world re-runs no inference: asking reads files, whoever wrote them.
    from recap.world.street import StreetWorld


class Benchmark(ABC):
    """One benchmark's official files.

    Attributes:
        name: Its name in params.yaml and in paths.
        title: Its name in tables and reports.
        note: What a reader of its score must know; empty if nothing.
        folder: The folder of its files below `data/benchmarks/`. Benchmarks that ask about the same files share one;
            the files are then written by the benchmark that is called like the folder.
        questions_files: The official name of the file with its questions, and other names that a user's may have.
        scoring: Its rule, a key of `recap.evaluation.scoring.registry.SCORERS`.
        metric_groups: The groups of few types whose accuracies go into metrics; all groups go into the breakdown.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    note: ClassVar[str] = ""
    folder: ClassVar[str]
    questions_files: ClassVar[tuple[str, ...]]
    scoring: ClassVar[str]
    metric_groups: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, folder: Path) -> list[Question]:
        """Parse the benchmark's official files. A row of another shape raises KeyError, ValueError or the like."""

    @abstractmethod
    def write(self, world: "StreetWorld", folder: Path) -> int:
        """Write the official files with what the embedded world asks and shows.

        Every picture has one or two questions, so that scores are clustered by image as in the real benchmarks.

        Args:
            world: Its settings say how many questions.
            folder: Where the files go.

        Returns:
            The number of questions; for MMBench, of rows.
        """

    def load(self, folder: str | Path) -> list[Question]:
        """Questions in file order, with unique keys and exact prompts.

        Args:
            folder: The benchmark's folder in its official layout (docs/DATA.md).

        Raises:
            UserError: A file or field is missing, a key repeats, or there is no question.
        """
        folder = Path(folder)
        try:
            questions = self.read(folder)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise UserError(
                f"{folder}: expected {self.title}'s official format (docs/DATA.md), found {problem}"
            ) from None
        return check_questions(questions, folder)

"""What all scorers share: answers are joined to their questions, scored one by one, and summed up.

Scorers know no files and no model: a change of a rule scores the same answers anew. Percentages in metrics are
0-100, scores of single questions 0-1.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.questions import Question, prompt_fingerprint
from recap.evaluation.scoring.aggregation import Row, accuracy_and_error, accuracy_by_type, count_answers
from recap.runtime.errors import UserError, one_line
from recap.runtime.faults import spelt_out

Answer = dict[str, Any]

END_MARKS = ("</s>", "<eos>", "<end_of_turn>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>")


class Scorer(ABC):
    """A scoring rule, applied to one benchmark.

    Attributes:
        benchmark: Whose answers are scored.
        convention: The rule, to be quoted with every number.
        foreign_fields: What answers of other tools are joined by.
    """

    convention: ClassVar[str]
    foreign_fields: ClassVar[tuple[str, ...]] = ("question_id",)

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark

    @abstractmethod
    def accuracy(self, question: Question, prediction: str) -> float:
        """Score of one prediction in [0, 1]."""

    def score(self, questions: Sequence[Question], answers: Iterable[Answer]) -> tuple[dict[str, Any], list[Row]]:
        """Score answers; a question without one counts as wrong, and is counted.

        Args:
            questions: The benchmark's, all of them.
            answers: Rows of an answer file: `key` (or, from other tools, `question_id`), `prompt`, `text`. Null and
                what is no text are no answer.

        Returns:
            Metrics (percent 0-100) and one row per question: `key`, `image` (equal for questions that share one),
            `score` (0-1), `prediction`, `answers`, `question`, `unanswered` (a reason or None), `groups`.

        Raises:
            UserError: An answer belongs to no question, comes twice, was given to another prompt, or lacks a field.
        """
        by_key = self.match(questions, answers)
        rows = [self.score_row(question, by_key.get(question.key)) for question in questions]
        metrics = {
            **accuracy_and_error(rows),
            **count_answers(rows),
            "convention": self.convention,
            "prompt_fingerprint": prompt_fingerprint(questions),
            **{f"by_{group}": accuracy_by_type(rows, group) for group in self.benchmark.metric_groups},
        }
        return metrics, rows

    def score_row(self, question: Question, answer: Answer | None) -> Row:
        prediction, unanswered = prediction_of(answer)
        return {
            "key": question.key,
            "image": question.image_id,
            "score": 0.0 if unanswered else self.accuracy(question, prediction),
            "prediction": prediction,
            "answers": list(question.references),
            "question": question.question,
            "unanswered": unanswered,
            "groups": dict(question.groups),
        }

    def match(self, questions: Sequence[Question], answers: Iterable[Answer]) -> dict[str, Answer]:
        """Join answers to questions: key to answer.

        Raises:
            UserError: See `score`; or there is nothing to score them by.
        """
        unknown = sum(not question.references for question in questions)
        if unknown:
            raise UserError(
                f"{self.benchmark.name}: expected the right answers of {len(questions)} questions, found none of "
                f"{unknown}: what the model says can be had without its annotations, a score cannot; add their file"
            )
        prompts = {question.key: question.text for question in questions}
        foreign = {self.foreign_id_of_question(question): question.key for question in questions}
        matched: dict[str, Answer] = {}
        for number, answer in enumerate(answers, start=1):
            where = f"{self.benchmark.name}: answer {number}"
            own = "key" in answer
            # Official results give the question's own id, where LLaVA's of TextVQA give the image.
            found: Hashable = answer["key"] if own else str(answer.get("question_id"))
            if not own and found not in prompts:
                found = self._foreign_id(answer, where)
            key = found if own else foreign.get(found, found)
            if not isinstance(key, str) or key not in prompts:
                raise UserError(
                    f"{where}: expected the key of a question, found {found!r:.80}; answer this benchmark again"
                )
            if key in matched:
                raise UserError(f"{where}: expected one answer per question, found a second one for {key!r}")
            if own and answer.get("prompt") != prompts[key]:
                raise UserError(
                    f"{where}: expected the prompt {prompts[key]!r:.200}, "
                    f"found {answer.get('prompt')!r:.200}; answer again"
                )
            if "text" not in answer:
                raise UserError(f"{where}: expected an answer under 'text', found the fields {_fields_of(answer)}")
            matched[key] = answer if own else {**answer, "text": _without_end_mark(answer["text"])}
        return matched

    def _foreign_id(self, answer: Answer, where: str) -> Hashable:
        try:
            return self.foreign_id_of_answer(answer)
        except (KeyError, TypeError, AttributeError):
            fields = " and ".join(map(repr, self.foreign_fields))
            raise UserError(
                f"{where}: expected {fields} to join the answer by, found the fields {_fields_of(answer)}"
            ) from None
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def foreign_id_of_question(self, question: Question) -> Hashable:
        """What identifies a question in the answer files of other tools, which have no keys."""
        return str(question.question_id)

    def foreign_id_of_answer(self, answer: Answer) -> Hashable:
        return str(answer["question_id"])


def prediction_of(answer: Answer | None) -> tuple[str, str | None]:
    """An answer's text, and why there is none ("no_answer" where the file has no row) or None."""
    if answer is None:
        return "", "no_answer"
    metadata = answer.get("metadata")
    reason = metadata.get("unanswered") if isinstance(metadata, dict) else None
    unanswered = spelt_out(str(reason)) if reason else None  # whatever other tools write there
    if isinstance(answer["text"], str):
        return answer["text"], unanswered
    # Other tools write null, a list or a number where their model said nothing that they could read.
    return "", unanswered or "no_text"


def _fields_of(answer: Answer) -> str:
    return one_line(", ".join(answer), 200)


def _without_end_mark(text: Any) -> Any:
    """What was said, without the mark that ends it, which some tools write down."""
    if not isinstance(text, str):
        return text
    for mark in END_MARKS:
        text = text.strip().removesuffix(mark)
    return text.strip()

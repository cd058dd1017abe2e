"""TextVQA: soft accuracy as LLaVA, MGM and MMF score it."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from recap.evaluation.accuracy import vqa_accuracy
from recap.evaluation.benchmarks.questions import Question
from recap.evaluation.benchmarks.textvqa import OCR_MARK, question_in_prompt
from recap.evaluation.scoring.aggregation import Row
from recap.evaluation.scoring.base import Answer, Scorer


class TextVQAScorer(Scorer):
    """Metrics also say whether OCR tokens were in the prompts, because that moves the accuracy."""

    name = "textvqa"
    convention = "mmf"

    def accuracy(self, question: Question, prediction: str) -> float:
        return vqa_accuracy(prediction, question.references, "mmf")

    def score(self, questions: Sequence[Question], answers: Iterable[Answer]) -> tuple[dict[str, Any], list[Row]]:
        metrics, rows = super().score(questions, answers)
        return {**metrics, "ocr_tokens": any(OCR_MARK in question.text for question in questions)}, rows

    def foreign_id_of_question(self, question: Question) -> Hashable:
        """LLaVA's own answer files are joined as its scorer does: by image and the question inside the prompt."""
        return question.question_id, question.question.lower()

    def foreign_id_of_answer(self, answer: Answer) -> Hashable:
        return answer["question_id"], question_in_prompt(answer["prompt"]).lower()

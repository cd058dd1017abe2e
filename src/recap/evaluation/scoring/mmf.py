"""Soft accuracy as LLaVA, MGM and MMF score TextVQA."""

from collections.abc import Hashable

from recap.data.benchmarks.questions import Question
from recap.data.benchmarks.textvqa import question_in_prompt
from recap.evaluation.scoring.accuracy import vqa_accuracy
from recap.evaluation.scoring.base import Answer, Scorer


class MMFScorer(Scorer):
    convention = "mmf"
    foreign_fields = ("question_id", "prompt")

    def accuracy(self, question: Question, prediction: str) -> float:
        return vqa_accuracy(prediction, question.references, "mmf")

    def foreign_id_of_question(self, question: Question) -> Hashable:
        """LLaVA's own answer files are joined as its scorer does: by image and the question inside the prompt."""
        return str(question.question_id), question.question.lower()

    def foreign_id_of_answer(self, answer: Answer) -> Hashable:
        return str(answer["question_id"]), question_in_prompt(answer["prompt"]).lower()

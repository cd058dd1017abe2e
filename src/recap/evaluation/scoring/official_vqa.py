"""Soft accuracy as the official code of VQAv2 and OK-VQA computes it.

The official code leaves both sides alone when all annotators agree ("Yes" then differs from "yes"), so
predictions pass the EvalAI processor first, as LLaVA's submission converter does.
"""

from recap.data.benchmarks.questions import Question
from recap.evaluation.scoring.accuracy import vqa_accuracy
from recap.evaluation.scoring.base import Scorer
from recap.evaluation.scoring.normalisation import normalize


class OfficialVQAScorer(Scorer):
    convention = "official_vqa after mmf"

    def accuracy(self, question: Question, prediction: str) -> float:
        return vqa_accuracy(normalize(prediction, "mmf"), question.references, "official_vqa")

"""VQAv2 and OK-VQA: soft accuracy as the official code computes it.

The official code leaves both sides alone when all annotators agree ("Yes" then differs from "yes"), so
predictions pass the EvalAI processor first, as LLaVA's submission converter does.
"""

from recap.evaluation.accuracy import vqa_accuracy
from recap.evaluation.answers import normalize
from recap.evaluation.benchmarks.questions import Question
from recap.evaluation.scoring.base import Scorer


class VQAv2Scorer(Scorer):
    name = "vqav2"
    convention = "official_vqa after mmf"
    metric_groups = ("answer_type",)

    def accuracy(self, question: Question, prediction: str) -> float:
        return vqa_accuracy(normalize(prediction, "mmf"), question.references, "official_vqa")


class OKVQAScorer(VQAv2Scorer):
    name = "okvqa"

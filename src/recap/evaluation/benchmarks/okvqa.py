"""OK-VQA (Marino et al. 2019): questions that need outside knowledge; VQAv2's file format and prompt.

Annotators' answers are taken from `answer`, as the official code does. In the published set those are stemmed
and predictions are not, which costs some points; scores from `raw_answer` are not comparable.
"""

from recap.evaluation.benchmarks.vqav2 import VQAv2


class OKVQA(VQAv2):
    name = "okvqa"
    questions_file = "OpenEnded_mscoco_val2014_questions.json"
    annotations_file = "mscoco_val2014_annotations.json"

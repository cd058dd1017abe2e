"""Conventions of other tools that no score of Recap follows, put together from its parts.

The reference outputs cover them too, and they exercise the parts in other orders. Sources:
open-compass/VLMEvalKit@e8e78f05, lmms-eval@75571cf, GT-Vision-Lab/VQA before a4f1afd.
"""

import re
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from unittest import mock

from recap.evaluation.scoring import normalisation
from recap.evaluation.scoring.accuracy import gqa_correct, soft_accuracy, vqa_accuracy
from recap.evaluation.scoring.circular import circular_groups
from recap.evaluation.scoring.normalisation import normalize, normalize_punctuation, normalize_words, strip_whitespace

# VLMEvalKit repaired the mistyped look-behind in 2025: there "3." keeps its stop and does not equal "3".
STOP_AWAY_FROM_DIGITS = re.compile(r"(?<!\d)\.(?!\d)")


def normalize_as_vlmevalkit(text: str) -> str:
    with mock.patch.object(normalisation, "_STOP_BEFORE_NON_DIGIT", STOP_AWAY_FROM_DIGITS):
        return normalize_words(normalize_punctuation(strip_whitespace(text)))


def normalize_as(convention: str, text: str) -> str:
    return normalize_as_vlmevalkit(text) if convention == "vlmevalkit" else normalize(text, convention)


def _always(convention: str, prediction: str, answers: Sequence[str]) -> float:
    """Both sides processed, also where all annotators agree."""
    processed = [normalize_as(convention, answer) for answer in answers]
    return soft_accuracy(processed.count(normalize_as(convention, prediction)), len(answers))


def _official_vqa_pre2021(prediction: str, answers: Sequence[str]) -> float:
    """Answers lost their punctuation only, and kept even that in agreement."""
    unanimous = len(set(answers)) == 1
    processed = list(answers) if unanimous else [normalize_punctuation(answer) for answer in answers]
    return soft_accuracy(processed.count(normalize(prediction, "official_vqa")), len(answers))


def _ours(convention: str, prediction: str, answers: Sequence[str]) -> float:
    return vqa_accuracy(prediction, answers, convention)


VQA: dict[str, Callable[[str, Sequence[str]], float]] = {
    "mmf": partial(_ours, "mmf"),
    "official_vqa": partial(_ours, "official_vqa"),
    "official_vqa_pre2021": _official_vqa_pre2021,
    "vlmevalkit": partial(_always, "vlmevalkit"),
    "llava": partial(_ours, "mmf"),
    "lmms_eval_textvqa": partial(_ours, "mmf"),
    "lmms_eval_okvqa": partial(_ours, "mmf"),
    "lmms_eval_vqav2": partial(_always, "official_vqa"),
}


def _bare(text: str) -> str:
    return text.strip().lower().translate(str.maketrans("", "", string.punctuation))


GQA: dict[str, Callable[[str, str], bool]] = {
    "official_strict": lambda prediction, answer: gqa_correct(prediction, answer, "strict"),
    "llava_convert_then_official": lambda prediction, answer: gqa_correct(prediction, answer, "llava"),
    "lmms_eval": lambda prediction, answer: _bare(prediction) == _bare(answer),
    "vlmevalkit": lambda prediction, answer: prediction.strip().lower() == answer.strip().lower(),
}


def circular_accuracy(rows: Iterable[Mapping[str, Any]]) -> float:
    """The share of questions that are right under every rotation."""
    hits = [group.hit for group in circular_groups(rows)]
    return sum(hits) / len(hits)

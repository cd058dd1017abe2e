"""Accuracy of one answer: soft VQA accuracy over ten annotators, and GQA's exact match.

Every benchmark score in a paper follows one of several conventions that disagree on some percent of the items; a
score is meaningful only beside its convention's name. Sources as in `recap.evaluation.answers`, and
LLaVA@c121f04 (GQA conversion), lmms-eval@75571cf, OpenVQA@f8f9966 (GQA's official evaluation).
"""

import string
from collections.abc import Callable, Sequence

from recap.evaluation.answers import normalize, normalize_punctuation, strip_whitespace


def soft_accuracy(matches: int, annotators: int) -> float:
    """Mean over the leave-one-out sets of annotators of min(matches among the others / 3, 1).

    With ten annotators 0, 1, 2, 3 and 4 matches give 0, 0.3, 0.6, 0.9 and 1.

    Args:
        matches: Annotators whose answer equals the prediction.
        annotators: All of them, at least one.

    Returns:
        Accuracy in [0, 1].
    """
    if annotators == 0:
        raise ValueError("expected at least one annotator's answer, found none")
    left_in = matches * min(1.0, (matches - 1) / 3) if matches else 0.0
    left_out = (annotators - matches) * min(1.0, matches / 3)
    return (left_in + left_out) / annotators


def vqa_accuracy(prediction: str, answers: Sequence[str], convention: str) -> float:
    """Soft accuracy of a prediction against the annotators' answers.

    Args:
        prediction: What the model said.
        answers: The annotators' answers, ten in the published sets.
        convention: One of `VQA_CONVENTIONS`. "mmf" serves TextVQA (LLaVA and MGM score so). "official_vqa"
            leaves both sides as they are when all annotators agree, so predictions must come processed
            (see `recap.evaluation.scoring.vqav2`).

    Returns:
        Accuracy in [0, 1].

    Raises:
        ValueError: The convention is unknown or there are no answers.
    """
    if convention not in VQA_CONVENTIONS:
        raise ValueError(f"expected a convention among {', '.join(VQA_CONVENTIONS)}, found {convention!r}")
    prediction, answers = VQA_CONVENTIONS[convention](prediction, answers)
    return soft_accuracy(sum(answer == prediction for answer in answers), len(answers))


Processed = tuple[str, list[str]]


def _always(convention: str) -> Callable[[str, Sequence[str]], Processed]:
    def process(prediction: str, answers: Sequence[str]) -> Processed:
        return normalize(prediction, convention), [normalize(answer, convention) for answer in answers]

    return process


def _official_vqa(prediction: str, answers: Sequence[str]) -> Processed:
    answers = [strip_whitespace(answer) for answer in answers]
    if len(set(answers)) == 1:
        return strip_whitespace(prediction), answers
    return normalize(prediction, "official_vqa"), [normalize(answer, "official_vqa") for answer in answers]


def _official_vqa_pre2021(prediction: str, answers: Sequence[str]) -> Processed:
    """Before GT-Vision-Lab/VQA@a4f1afd: answers lost their punctuation only, and kept even that in agreement."""
    unanimous = len(set(answers)) == 1
    answers = list(answers) if unanimous else [normalize_punctuation(answer) for answer in answers]
    return normalize(prediction, "official_vqa"), answers


VQA_CONVENTIONS: dict[str, Callable[[str, Sequence[str]], Processed]] = {
    "mmf": _always("mmf"),
    "official_vqa": _official_vqa,
    "official_vqa_pre2021": _official_vqa_pre2021,
    "vlmevalkit": _always("vlmevalkit"),
    "llava": _always("mmf"),
    "lmms_eval_textvqa": _always("mmf"),
    "lmms_eval_okvqa": _always("mmf"),
    "lmms_eval_vqav2": _always("official_vqa"),
}


def gqa_correct(prediction: str, answer: str, convention: str) -> bool:
    """Whether a prediction equals GQA's single answer.

    Args:
        prediction: What the model said.
        answer: The annotation: lower-case and short.
        convention: "strict" (equal as they stand), "llava" (the prediction stripped, without trailing stops, in lower
            case), "lmms_eval" or "vlmevalkit".

    Raises:
        ValueError: The convention is unknown.
    """
    if convention not in GQA_CONVENTIONS:
        raise ValueError(f"expected a convention among {', '.join(GQA_CONVENTIONS)}, found {convention!r}")
    return GQA_CONVENTIONS[convention](prediction, answer)


def _strict(prediction: str, answer: str) -> bool:
    return prediction == answer


def _llava(prediction: str, answer: str) -> bool:
    return prediction.strip().rstrip(".").lower() == answer


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _lmms_eval(prediction: str, answer: str) -> bool:
    def bare(text: str) -> str:
        return text.strip().lower().translate(_NO_PUNCTUATION)

    return bare(prediction) == bare(answer)


def _vlmevalkit(prediction: str, answer: str) -> bool:
    return prediction.strip().lower() == answer.strip().lower()


GQA_CONVENTIONS: dict[str, Callable[[str, str], bool]] = {
    "strict": _strict,
    "official_strict": _strict,
    "llava": _llava,
    "llava_convert_then_official": _llava,
    "lmms_eval": _lmms_eval,
    "vlmevalkit": _vlmevalkit,
}

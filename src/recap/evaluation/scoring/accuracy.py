"""Accuracy of one answer: soft VQA accuracy over ten annotators, and GQA's exact match.

Every benchmark score in a paper follows one of several conventions that disagree on some percent of the items; a
score is meaningful only beside its convention's name. Sources as in `recap.evaluation.scoring.normalisation`, and
LLaVA@c121f04 (GQA conversion), OpenVQA@f8f9966 (GQA's official evaluation).
"""

from collections.abc import Callable, Sequence

from recap.evaluation.scoring.normalisation import normalize, strip_whitespace


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
            (see `recap.evaluation.scoring.official_vqa`).

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


def _mmf(prediction: str, answers: Sequence[str]) -> Processed:
    return normalize(prediction, "mmf"), [normalize(answer, "mmf") for answer in answers]


def _official_vqa(prediction: str, answers: Sequence[str]) -> Processed:
    answers = [strip_whitespace(answer) for answer in answers]
    if len(set(answers)) == 1:
        return strip_whitespace(prediction), answers
    return normalize(prediction, "official_vqa"), [normalize(answer, "official_vqa") for answer in answers]


VQA_CONVENTIONS: dict[str, Callable[[str, Sequence[str]], Processed]] = {"mmf": _mmf, "official_vqa": _official_vqa}


def gqa_correct(prediction: str, answer: str, convention: str) -> bool:
    """Whether a prediction equals GQA's single answer.

    Args:
        prediction: What the model said.
        answer: The annotation: lower-case and short.
        convention: "strict" (equal as they stand) or "llava" (the prediction stripped, without trailing stops, in
            lower case).

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


GQA_CONVENTIONS: dict[str, Callable[[str, str], bool]] = {"strict": _strict, "llava": _llava}

"""Ten people answer a question: mostly alike, now and then with a slip, as the answers of the VQA datasets are."""

import random

from recap.world.lexicon import COLOURS

# Chance that one of the ten answers differs from the right one.
SLIP = 0.08


def written_answers(answer: str, rng: random.Random) -> list[str]:
    """Ten free-text answers as TextVQA holds them: casing, articles and typing errors differ."""
    return [_written(answer, rng) for _ in range(10)]


def _written(answer: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < SLIP / 2:
        return _with_typo(answer, rng)
    if draw < SLIP:
        return f"{answer} sign"
    if draw < 3 * SLIP:
        return rng.choice((answer.upper(), answer.title()))
    return answer


def _with_typo(answer: str, rng: random.Random) -> str:
    """Two neighbouring letters change places, or one is lost."""
    at = rng.randrange(len(answer) - 1)
    if rng.random() < 0.5:
        return answer[:at] + answer[at + 1] + answer[at] + answer[at + 2 :]
    return answer[:at] + answer[at + 1 :]


def perceived_answers(answer: str, rng: random.Random) -> list[str]:
    """Ten answers as VQAv2 holds them: who errs, takes yes for no, miscounts or names another colour."""
    return [_mistaken(answer, rng) if rng.random() < SLIP else answer for _ in range(10)]


def _mistaken(answer: str, rng: random.Random) -> str:
    if answer in ("yes", "no"):
        return "no" if answer == "yes" else "yes"
    if answer.isdigit():
        return str(int(answer) + 1)
    if answer in COLOURS:
        return rng.choice([colour for colour in COLOURS if colour != answer])
    return f"{answer} thing"


def ocr_tokens(word: str, rng: random.Random) -> list[str]:
    """What an OCR engine finds on the sign: mostly its word, at times misread, in pieces, with specks, or nothing."""
    text = word.upper()
    draw = rng.random()
    if draw < 0.05:
        return []
    if draw < 0.15:
        cut = rng.randrange(1, len(text))
        return [text[:cut], text[cut:]]
    if draw < 0.3:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice("O0I1LE8B5S") + text[at + 1 :]
    return [text, rng.choice(("I", "L", "-", "11"))] if rng.random() < 0.15 else [text]

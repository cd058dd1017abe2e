"""Captions of the street world: true ones, and raw ones with the defects that were measured on web alt-texts.

The raw captions follow the corpus whose recaptioning Recap studies: 8.78 +- 3.49 words, few templates, 3.9 % shorter
than the six words that the text filter asks for, some that repeat one phrase, some about another picture.
"""

import random

from recap.world.lexicon import COUNT_WORDS, KINDS
from recap.world.scenes import Scene
from recap.world.settings import CaptionDefects

# Captions with fewer words than this are "too short": the lower bound of the headline recipe's words_num_filter.
MIN_WORDS = 6

TRUE_TEMPLATES = (
    "{group} on the {side} and {other} on the {other_side} under a {sign_colour} sign that says {word}",
    "a {sign_colour} sign that says {word} above {group} on the {side} of a street {time}",
    "a street {time} with {word_article} {word} sign over {group} on the {side} and {other}",
    "the {sign_colour} sign reads {word} and {group} {stand} to the {side} of {other}",
    "{time} {group} and {other} stand below a {sign_colour} sign with the word {word}",
    "{group} in front of a {sign_colour} sign for the {word} {time} with {other} on the {other_side}",
)

# Beginnings of raw captions, at most MIN_WORDS words each: what little an alt-text tells.
RAW_TEMPLATES = (
    "{kind} on the street",
    "photo of {kind} in the city",
    "{colour} {kind} in town",
    "{kind} and {other_kind} by the road",
)
RAW_TEMPLATES_WITH_WORD = ("{word} sign on the street", "{kind} near the {word} sign")

# Shorter than MIN_WORDS.
SHORT_TEMPLATES = ("{kind}", "{colour} {kind}", "photo of {kind}", "street view with {kind}", "IMG_{number:04d}.JPG")

REPEATED_PHRASES = ("free download", "stock photo", "hd wallpaper")

# What fills a raw caption up to its length: endings that fit any picture.
RAW_ENDINGS = (
    "stock photo", "royalty free image", "high resolution picture", "in the old town", "travel guide and tips",
    "view from across the road", "street photography", "for sale near you", "download in hd quality",
    "picture taken on holiday", "best places to visit",
)  # fmt: skip

# Words beyond MIN_WORDS are geometric with this chance of one more; fitted, with the shares below, to 8.78 +- 3.49.
ONE_MORE_WORD = 0.748
MAX_WORDS = 22
REPETITIVE_WORDS = (10, 16)


MEASURED_DEFECTS = CaptionDefects(too_short=3.9, repetitive=3.0, mismatched=10.0, with_sign_word=15.0)


def true_caption(scene: Scene, rng: random.Random) -> str:
    """A fluent, correct caption: lower case, single spaces, no punctuation, 16 to 22 words.

    It always holds the sign's word, and the main objects' kind (singular or plural) and colour.
    """
    kind = scene.kind if scene.count == 1 else KINDS[scene.kind][0]
    number = article(scene.colour) if scene.count == 1 else COUNT_WORDS[scene.count]
    return rng.choice(TRUE_TEMPLATES).format(
        group=f"{number} {scene.colour} {kind}",
        stand="stands" if scene.count == 1 else "stand",
        other=f"{article(scene.other_colour)} {scene.other_colour} {scene.other_kind}",
        side=scene.side,
        other_side=scene.other_side,
        sign_colour=scene.sign_colour,
        word=scene.word,
        word_article=article(scene.word),
        time="at night" if scene.night else "by day",
    )


def raw_caption(scene: Scene, rng: random.Random, another: Scene, defects: CaptionDefects = MEASURED_DEFECTS) -> str:
    """A caption as the web gives it: short of content, and sometimes wrong.

    Args:
        scene: What the picture shows.
        rng: Chooses the defect, the template and the length.
        another: The scene that a mismatched caption describes.
        defects: How often each defect occurs.
    """
    draw = rng.random() * 100
    if draw < defects.too_short:
        return _filled(rng.choice(SHORT_TEMPLATES), scene, rng)
    draw -= defects.too_short
    if draw < defects.repetitive:
        return _repetitive_caption(scene, rng)
    draw -= defects.repetitive
    described = another if draw < defects.mismatched else scene
    with_word = rng.random() * 100 < defects.with_sign_word
    words = _filled(rng.choice(RAW_TEMPLATES_WITH_WORD if with_word else RAW_TEMPLATES), described, rng).split()
    length = MIN_WORDS
    while length < MAX_WORDS and rng.random() < ONE_MORE_WORD:
        length += 1
    endings = rng.sample(RAW_ENDINGS, len(RAW_ENDINGS))
    while len(words) < length:
        words += endings.pop().split()
    return " ".join(words[:length])


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _filled(template: str, scene: Scene, rng: random.Random) -> str:
    kind = KINDS[scene.kind][0] if scene.count > 1 else scene.kind
    return template.format(
        kind=kind,
        colour=scene.colour,
        other_kind=scene.other_kind,
        word=scene.word,
        number=rng.randrange(10_000),
    )


def _repetitive_caption(scene: Scene, rng: random.Random) -> str:
    phrase = rng.choice(REPEATED_PHRASES).split()
    length = rng.randint(*REPETITIVE_WORDS)
    return " ".join([scene.kind, "photo", *phrase * length][:length])

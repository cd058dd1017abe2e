"""Captions that describe nothing, by small rules that would rather let junk pass than lose a caption."""

import re

REASONS = ("empty", "prompt_echo", "loop", "boilerplate", "language", "cut_off")

# Words that say that there is a picture, or who sells it, and nothing of what it shows.
CONTENTLESS = re.compile(
    "an?|the|this|that|these|is|are|was|its?|of|in|on|at|by|from|for|with|and|or|not?|here|there|some|photo(graph)?s?|"
    "pictures?|pics?|images?|stock|royalty|free|download|high|quality|resolution|hd|vector|clip(art)?|close|up|closeup|"
    "available|preview|placeholder|thumbnail|getty|gettyimages|shutterstock|istock(photo)?|alamy|depositphotos|"
    "dreamstime|adobe|copyright|credit|file|jpe?g|png"
)

# A phrase of so many words is a loop when it comes so often in a row; a longer one twice.
REPEATS = {1: 4, 2: 3, 3: 3}
LONGEST_PHRASE = 12
# From so many words on, this few of them different are a loop, too: "a house with a house and a house in a house ..."
FEW_DIFFERENT = (12, 0.4)
# Text without blanks: a syllable of letters five times and more.
SYLLABLES = re.compile(r"([^\W\d_]{1,12}?)\1{4,}")

# Languages that are not written in Latin letters, by what their letters are called in Unicode.
SCRIPTS = {
    "zh": ("CJK",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ko": ("HANGUL",), "ru": ("CYRILLIC",), "uk": ("CYRILLIC",),
    "bg": ("CYRILLIC",), "sr": ("CYRILLIC", "LATIN"), "el": ("GREEK",), "ar": ("ARABIC",), "fa": ("ARABIC",),
    "ur": ("ARABIC",), "he": ("HEBREW",), "hi": ("DEVANAGARI",), "mr": ("DEVANAGARI",), "ne": ("DEVANAGARI",),
    "bn": ("BENGALI",), "ta": ("TAMIL",), "te": ("TELUGU",), "th": ("THAI",), "ka": ("GEORGIAN",), "hy": ("ARMENIAN",),
}  # fmt: skip
# A language is told from fewer words no better than by guessing.
WORDS_FOR_A_LANGUAGE = 6


def junk_reason(text: str, prompt: str = "", *, truncated: bool = False, language: str | None = None) -> str | None:
    """Why a text is no caption, the first of `REASONS` that holds; None for a caption.

    Args:
        text: What the captioner wrote after the prompt.
        prompt: What it was to continue.
        truncated: Whether the token limit ended it.
        language: The language asked for, such as "en"; None for any.
    """
    words = _words(text)
    if not words:
        return "empty"
    if is_echo(words, _words(prompt)):
        return "prompt_echo"
    if is_loop(words) or SYLLABLES.search(text.lower()):
        return "loop"
    if is_boilerplate(words):
        return "boilerplate"
    if language is not None and is_foreign(text, language):
        return "language"
    return "cut_off" if truncated else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())


def is_echo(words: list[str], prompt: list[str]) -> bool:
    """Whether nothing is left of the text without the prompt's words in their order, or their beginning."""
    if not prompt:
        return False
    rest = list(words)
    while (rest and rest == prompt[: len(rest)]) or rest[: len(prompt)] == prompt:
        rest = rest[len(prompt) :]
    # The beginning of a prompt alone may be a caption: "a photo" of "a photo of a" is no echo but boilerplate.
    return not rest and len(words) >= min(len(prompt), 3)


def is_loop(words: list[str]) -> bool:
    """Whether a phrase is repeated in a row, or hardly any word is new."""
    for length in range(1, min(LONGEST_PHRASE, len(words) // 2) + 1):
        run = 0  # words in a row that are those of one phrase before
        for word, earlier in zip(words[length:], words, strict=False):
            run = run + 1 if word == earlier else 0
            if run >= length * (REPEATS.get(length, 2) - 1):
                return True
    least, share = FEW_DIFFERENT
    return len(words) >= least and len(set(words)) / len(words) <= share


def is_boilerplate(words: list[str]) -> bool:
    """Whether the words only say that this is a picture."""
    return all(map(CONTENTLESS.fullmatch, words))


def languages_told_by() -> str:
    """What `is_foreign` goes by on this machine: "language" where Data-Juicer's model is there, else "script"."""
    from recap.data.explore.languages import languages

    return languages([])[0]


def is_foreign(text: str, language: str) -> bool:
    """Whether a text is in another language than the one asked for.

    The script decides for a language with one of its own. Among languages of one script Data-Juicer's model does, for
    texts of some words, where it is installed and fetched.
    """
    from recap.data.explore.languages import LANGUAGE, NO_LETTERS, languages, script_of

    script = script_of(text)
    if script == NO_LETTERS:
        return False
    if script not in SCRIPTS.get(language, ("LATIN",)):
        return True
    if len(_words(text)) < WORDS_FOR_A_LANGUAGE:
        return False
    kind, (found,) = languages([text])
    return kind == LANGUAGE and found != language

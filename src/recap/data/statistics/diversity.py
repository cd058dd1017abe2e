"""Lexical diversity of a sample of captions.

In: token lists, one per caption, in a seeded order (`recap.data.statistics.sampling`). Out: indices as numbers,
None where a text is too short to have one. N is the number of tokens, V of types (different tokens).

Only MATTR, MTLD and HD-D hardly depend on N (McCarthy & Jarvis 2010, BRM 42:381-392); TTR, Maas, distinct-n,
self-BLEU and the compression ratio do, and mean something only between samples of equal size.
"""

import gzip
from collections.abc import Iterable, Sequence
from itertools import chain

from lexicalrichness import LexicalRichness
from sacrebleu.metrics import BLEU
from tqdm import tqdm

from recap.data.statistics.sampling import Sample
from recap.data.statistics.text import tokens

MTLD_THRESHOLD = 0.72
SELF_BLEU_TOKENS = 500
SELF_BLEU_MIN = 2


def describe_diversity(
    sample: Sample, *, mattr_window: int, hdd_sample: int, self_bleu_sample: int
) -> dict[str, float | None]:
    """All indices of one sample: self-BLEU on its captions, everything else on its tokens."""
    flat = list(chain.from_iterable(sample.token_lists))
    return {
        "ttr": ttr(flat),
        "maas": maas(flat),
        "mattr": mattr(flat, mattr_window),
        "mtld": mtld(flat),
        "hdd": hdd(flat, hdd_sample),
        **{f"distinct_{n}": distinct(sample.token_lists, n) for n in (1, 2, 3)},
        "self_bleu": self_bleu(sample.captions[:self_bleu_sample]),
        "compression_ratio": compression_ratio(sample.token_lists),
    }


def ttr(text: Sequence[str]) -> float | None:
    """Type-token ratio V/N in (0, 1]. Falls with N: never compare it between texts of different length."""
    return _richness(text).ttr if text else None


def maas(text: Sequence[str]) -> float | None:
    """Maas' a² = (ln N - ln V) / (ln N)²; lower is more diverse. None below two tokens."""
    return _richness(text).Maas if len(text) > 1 else None


def mattr(text: Sequence[str], window: int) -> float | None:
    """Moving-average TTR over every window of `window` tokens (Covington & McFall 2010). None if N < window."""
    return _richness(text).mattr(window_size=window) if len(text) >= window else None


def mtld(text: Sequence[str]) -> float | None:
    """Mean number of tokens over which the TTR stays above 0.72, read forwards and backwards.

    McCarthy & Jarvis 2010; the remainder counts as a partial factor.
    """
    return _richness(text).mtld(threshold=MTLD_THRESHOLD) if text else None


def hdd(text: Sequence[str], draws: int) -> float | None:
    """HD-D: expected TTR of `draws` tokens drawn without replacement (McCarthy & Jarvis 2007).

    None if N < draws.
    """
    return float(_richness(text).hdd(draws=draws)) if len(text) >= draws else None


def _richness(text: Sequence[str]) -> LexicalRichness:
    return LexicalRichness(list(text), preprocessor=None, tokenizer=None)


def distinct(token_lists: Iterable[Sequence[str]], n: int) -> float | None:
    """Different n-grams / all n-grams, in (0, 1]; no n-gram crosses from one caption into the next."""
    ngrams = [tuple(item[start : start + n]) for item in token_lists for start in range(len(item) - n + 1)]
    return len(set(ngrams)) / len(ngrams) if ngrams else None


def self_bleu(captions: Sequence[str]) -> float | None:
    """Mean BLEU-4 of each caption against all others (Zhu et al. 2018), 0-100; lower is more diverse.

    sacrebleu's sentence BLEU on the tokens of `recap.data.statistics.text`, exponential smoothing, effective
    order (a caption of two words is judged on unigrams and bigrams). Of a longer caption its first SELF_BLEU_TOKENS
    tokens count: beyond, it is no caption, and takes minutes. None for fewer than two captions.
    """
    sentences = [
        " ".join(caption_tokens[:SELF_BLEU_TOKENS]) for caption_tokens in map(tokens, captions) if caption_tokens
    ]
    if len(sentences) < SELF_BLEU_MIN:
        return None
    bleu = BLEU(tokenize="none", smooth_method="exp", effective_order=True)
    scores = [
        bleu.sentence_score(sentence, sentences[:index] + sentences[index + 1 :]).score
        for index, sentence in enumerate(tqdm(sentences, desc="self-BLEU", unit="caption", leave=False))
    ]
    return sum(scores) / len(scores)


def compression_ratio(token_lists: Iterable[Sequence[str]]) -> float | None:
    """Bytes / gzipped bytes of the captions, one a line (Shaib et al., arXiv 2403.00553); lower is more diverse."""
    raw = "\n".join(map(" ".join, token_lists)).encode()
    return len(raw) / len(gzip.compress(raw, mtime=0)) if raw else None

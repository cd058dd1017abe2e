"""Lexical diversity of a sample of captions.

In: token lists, one per caption, in a seeded order (`recap.data.statistics.sampling`). Out: indices as numbers,
None where a text is too short to have one. N is the number of tokens, V of types (different tokens).

Only MATTR, MTLD and HD-D hardly depend on N (McCarthy & Jarvis 2010, BRM 42:381-392); TTR, Maas, distinct-n,
self-BLEU, self-repetition and the compression ratio do, and mean something only between samples of equal size.
"""

import gzip
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from lexicalrichness import LexicalRichness
from sacrebleu.metrics import BLEU
from scipy.stats import hypergeom

from recap.data.statistics.sampling import Sample
from recap.data.statistics.text import tokens

MTLD_THRESHOLD = 0.72
SELF_BLEU_TOKENS = 500
BLEU_ORDER = 4
FEWEST_CAPTIONS = 2
SELF_REPETITION_ORDER = 4


def describe_diversity(
    sample: Sample, *, mattr_window: int, hdd_sample: int, self_bleu_sample: int
) -> dict[str, float | None]:
    """All indices of one sample: self-repetition and self-BLEU on its captions, everything else on its tokens."""
    flat = list(chain.from_iterable(sample.token_lists))
    return {
        "ttr": ttr(flat),
        "maas": maas(flat),
        "mattr": mattr(flat, mattr_window),
        "mtld": mtld(flat),
        "hdd": hdd(flat, hdd_sample),
        **{f"distinct_{n}": distinct(sample.token_lists, n) for n in (1, 2, 3)},
        "compression_ratio": compression_ratio(sample.token_lists),
        "self_repetition": self_repetition(sample.captions),
        "self_bleu": self_bleu(sample.captions[:self_bleu_sample]),
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

    The number of `LexicalRichness.hdd`, which asks scipy once for every type: here once for all frequencies.
    None if N < draws.
    """
    if len(text) < draws:
        return None
    frequencies, types = np.unique(list(Counter(text).values()), return_counts=True)
    seen = 1 - hypergeom.pmf(0, len(text), frequencies, draws)
    return float(seen @ types) / draws


def _richness(text: Sequence[str]) -> LexicalRichness:
    return LexicalRichness(list(text), preprocessor=None, tokenizer=None)


def ngrams(caption_tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """The runs of n tokens of one caption, in order."""
    return [tuple(caption_tokens[start : start + n]) for start in range(len(caption_tokens) - n + 1)]


def distinct(token_lists: Iterable[Sequence[str]], n: int) -> float | None:
    """Different n-grams / all n-grams, in (0, 1]; no n-gram crosses from one caption into the next."""
    found = [ngram for item in token_lists for ngram in ngrams(item, n)]
    return len(set(found)) / len(found) if found else None


def self_repetition(captions: Sequence[str]) -> float | None:
    """Mean over captions of ln(1 + how many other captions have each of its different 4-grams, summed).

    Salkar et al. 2022 (AACL), as in Shaib et al., arXiv 2403.00553; 0 where nothing repeats, lower is more diverse.
    """
    found = [set(ngrams(tokens(caption), SELF_REPETITION_ORDER)) for caption in captions]
    if not found:
        return None
    having = Counter(chain.from_iterable(found))
    return math.fsum(math.log1p(sum(having[ngram] - 1 for ngram in own)) for own in found) / len(found)


def self_bleu(captions: Sequence[str]) -> float | None:
    """Mean BLEU-4 of each caption against all others (Zhu et al. 2018), 0-100; lower is more diverse.

    The number of sacrebleu's sentence BLEU on the tokens of `recap.data.statistics.text`, exponential smoothing,
    effective order (a caption of two words is judged on unigrams and bigrams), in time that grows with the captions and
    not with their pairs: an n-gram's largest count among *all others* is the largest of all, or the second largest in
    the caption that has the largest. Of a longer caption its first SELF_BLEU_TOKENS tokens count: beyond, it is none.
    None for fewer than two captions.
    """
    token_lists = [found[:SELF_BLEU_TOKENS] for found in map(tokens, captions) if found]
    if len(token_lists) < FEWEST_CAPTIONS:
        return None
    counts = [Counter(chain.from_iterable(ngrams(item, n) for n in range(1, BLEU_ORDER + 1))) for item in token_lists]
    largest: dict[tuple[str, ...], int] = {}
    second: dict[tuple[str, ...], int] = {}
    for ngram, count in chain.from_iterable(own.items() for own in counts):
        top = largest.get(ngram, 0)
        largest[ngram], second[ngram] = max(top, count), max(second.get(ngram, 0), min(top, count))
    lengths = sorted(map(len, token_lists))
    scores = []
    for item, own in zip(token_lists, counts, strict=True):
        correct = [0] * BLEU_ORDER
        for ngram, count in own.items():
            others = second[ngram] if count == largest[ngram] else largest[ngram]
            correct[len(ngram) - 1] += min(count, others)
        total = [max(len(item) - n, 0) for n in range(BLEU_ORDER)]
        score = BLEU.compute_bleu(
            correct, total, len(item), _closest_other(len(item), lengths), smooth_method="exp", effective_order=True
        )
        scores.append(score.score)
    return math.fsum(scores) / len(scores)


def _closest_other(length: int, lengths: Sequence[int]) -> int:
    """The length closest to one of these sorted lengths, itself once left out; of two equally close the shorter."""
    place = bisect_left(lengths, length)
    shorter = lengths[place - 1] if place else None
    longer = lengths[place + 1] if place + 1 < len(lengths) else None
    near = [other for other in (shorter, longer) if other is not None]
    return min(near, key=lambda other: (abs(other - length), other))


def compression_ratio(token_lists: Iterable[Sequence[str]]) -> float | None:
    """Bytes / gzipped bytes of the captions, one a line (Shaib et al., arXiv 2403.00553); lower is more diverse."""
    raw = "\n".join(map(" ".join, token_lists)).encode()
    return len(raw) / len(gzip.compress(raw, mtime=0)) if raw else None

"""From a batch of images to the candidates of each: every prompt, every draw, junk drawn anew.

This is what all captioners have in common. A captioner continues a prompt for some rows of its batch; which draws a row
gets follows from its image's seed, the prompt's number and the candidate's number alone, so that candidate k is the
same whatever stands beside the image and however many candidates are asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from recap.captioning.candidates import Candidate, candidate_of, without_duplicates
from recap.captioning.decoding import Decoding
from recap.captioning.sampling import uniform_draws
from recap.runtime.seeding import derive_seed


@dataclass(frozen=True)
class Sampling:
    """How rows are to be drawn.

    Attributes:
        draws: In [0, 1), float32 [rows * copies, max_new_tokens], on the CPU.
        temperature: Above 0.
        top_p: In (0, 1].
    """

    draws: torch.Tensor
    temperature: float
    top_p: float


@dataclass(frozen=True)
class Written:
    """The text of new tokens, and whether the token limit ended it."""

    text: str
    truncated: bool


Continue = Callable[[Sequence[int], int, int, Sampling | None], list[Written]]
"""Continue prompt p for rows r1, r2, ...: so many texts for each, row by row; drawn, or the most probable ones."""


def write_candidates(continued: Continue, decoding: Decoding, seeds: Sequence[int]) -> list[list[Candidate]]:
    """The candidates of each of B images, in the order of prompts, then of draws, then junk that was drawn anew.

    Args:
        continued: What the captioner does for some rows of this batch.
        decoding: How it writes.
        seeds: One per image.
    """
    images: list[list[Candidate]] = [[] for _ in seeds]
    rows = range(len(seeds))
    count = decoding.candidates
    for number, prompt in enumerate(decoding.prompts):
        slots = [(row, slot) for row in rows for slot in range(count)]
        sampling = None
        if decoding.do_sample:
            keys = [derive_seed(seeds[row], number, slot) for row, slot in slots]
            draws = uniform_draws(keys, decoding.max_new_tokens)
            sampling = Sampling(draws, decoding.temperature, decoding.top_p)
        written = continued(rows, number, count, sampling)
        for repetition in range(decoding.redraws + 1):
            junk = []
            for (row, slot), new in zip(slots, written, strict=True):
                candidate = candidate_of(new.text, prompt, truncated=new.truncated, language=decoding.language)
                images[row].append(candidate)
                if candidate.junk is not None:
                    junk.append((row, slot))
            if not junk or repetition == decoding.redraws:
                break
            slots = junk
            keys = [derive_seed(seeds[row], number, slot, "redraw", repetition) for row, slot in slots]
            draws = uniform_draws(keys, decoding.max_new_tokens)
            written = continued([row for row, _ in slots], number, 1, Sampling(draws, 1.0, decoding.top_p))
    return [without_duplicates(candidates) for candidates in images]

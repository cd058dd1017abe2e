"""Greedy and sampled decoding of a decoder-only language model, without what transformers' `generate` does per token.

`generate` spends more time in Python than a small model in its products, cannot share one prompt's cache among several
draws, and keeps computing rows that have ended. This loop gives the same tokens (tests hold it to that): one pass over
the prompt for all draws of an image, then a step per token for the rows that still write.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation import MinNewTokensLengthLogitsProcessor, RepetitionPenaltyLogitsProcessor

from recap.captioning.decoding import Decoding
from recap.captioning.sampling import KeyedSampling
from recap.captioning.writing import Sampling, Written

ENGINE_VERSION = 1
"""Raised by hand when the same model, settings and image would give another caption, or another judgement whether it is
junk: kept ones then count no more."""


def generation_config(model: Any, decoding: Decoding, *, fallback: Any = None, **settings: Any) -> GenerationConfig:
    """A model's own settings with what `decoding` says; sampling is greedy search over sampled logits.

    Args:
        model: What generates.
        decoding: How it is to write.
        fallback: A model whose stop token counts where the first has none.
        settings: What overrules `decoding`.
    """
    config = copy.deepcopy(model.generation_config)
    wanted = {
        "max_new_tokens": decoding.max_new_tokens,
        "min_new_tokens": decoding.min_new_tokens or None,
        "num_beams": decoding.num_beams,
        "repetition_penalty": decoding.repetition_penalty,
        **dict.fromkeys(("max_length", "temperature", "top_p", "top_k", "min_length")),
        "do_sample": False,
    }
    config.update(**wanted | settings)
    if config.eos_token_id is None and fallback is not None:
        config.eos_token_id = fallback.generation_config.eos_token_id
    if config.pad_token_id is None:
        config.pad_token_id = min(stop_tokens(config), default=0)
    return config


def stop_tokens(config: GenerationConfig) -> set[int]:
    """The tokens that end a text."""
    ids = config.eos_token_id
    return set() if ids is None else {ids} if isinstance(ids, int) else set(ids)


def text_of(tokens: Sequence[int], tokenizer: Any, stops: set[int]) -> Written:
    """Decode a row of new tokens."""
    # What follows the stop token is padding, and not every tokenizer marks it as special.
    end = next((index for index, token in enumerate(tokens) if token in stops), None)
    return Written(tokenizer.decode(tokens[:end], skip_special_tokens=True), truncated=end is None)


def greedy_tokens(
    model: Any, inputs_embeds: torch.Tensor, config: GenerationConfig, copies: int, sampling: Sampling | None
) -> torch.Tensor:
    """New tokens, [B * copies, T] with T at most `max_new_tokens`; rows that end earlier are padded.

    Args:
        model: A causal language model of transformers.
        inputs_embeds: What is continued, [B, P, D], no position of it padding.
        config: Token limit, stop and padding tokens, shortest text, repetition penalty.
        copies: Draws per row, side by side; they share the pass over `inputs_embeds`.
        sampling: None takes the most probable token.
    """
    device = inputs_embeds.device
    stops = torch.tensor(sorted(stop_tokens(config)), device=device)
    processors = _processors(config, device)
    output = model(inputs_embeds=inputs_embeds, use_cache=True, logits_to_keep=1)
    cache, scores = output.past_key_values, output.logits[:, -1]
    if copies > 1:
        cache.batch_repeat_interleave(copies)
        scores = scores.repeat_interleave(copies, dim=0)
    draw = None
    if sampling is not None:
        draw = KeyedSampling(sampling.draws.to(device), temperature=sampling.temperature, top_p=sampling.top_p)
    rows, limit = len(scores), config.max_new_tokens
    tokens = torch.full((rows, limit), config.pad_token_id, device=device)
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    writing = torch.arange(rows, device=device)  # the rows that the cache holds
    for step in range(limit):
        scores = scores.float()
        if processors:
            scores = processors(tokens[writing, :step], scores)
        if draw is not None:
            scores = draw(tokens[writing, :step], scores)
        chosen = scores.argmax(dim=-1)
        # A row that has ended may stay in the cache for a while: it keeps its padding.
        chosen = torch.where(ended[writing], config.pad_token_id, chosen)
        tokens[writing, step] = chosen
        ended[writing] |= torch.isin(chosen, stops)
        left = (~ended[writing]).nonzero().flatten()
        if step + 1 == limit or not len(left):
            return tokens[:, : step + 1]
        if len(left) <= len(writing) / 2:
            writing, chosen = writing[left], chosen[left]
            cache.batch_select_indices(left)
            if draw is not None:
                draw.draws = draw.draws[left]
        output = model(input_ids=chosen[:, None], past_key_values=cache, use_cache=True)
        scores = output.logits[:, -1]
    return tokens


def _processors(config: GenerationConfig, device: torch.device) -> Any:
    processors = LogitsProcessorList()
    if config.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.min_new_tokens:
        stops = sorted(stop_tokens(config))
        processors.append(MinNewTokensLengthLogitsProcessor(0, config.min_new_tokens, stops, device=str(device)))
    return processors

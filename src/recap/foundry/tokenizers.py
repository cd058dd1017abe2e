"""Byte-level BPE tokenizers trained on the world's own sentences; any other text still encodes, byte by byte."""

from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast


def train_tokenizer(
    sentences: Iterable[str], vocabulary_size: int, special_tokens: Sequence[str], bos: str, **names: Any
) -> PreTrainedTokenizerFast:
    """Train a tokenizer that puts `bos` in front of every text.

    Args:
        sentences: The training text.
        vocabulary_size: Number of tokens, the special ones and the 256 bytes included.
        special_tokens: In the order of their ids, from 0 on.
        bos: The special token that starts a text.
        names: Further special tokens by role (`eos_token="<eos>"`, ...) and other settings of the tokenizer.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, **names)

"""Greedy decoding whose result does not depend on the batch that a prompt is in.

Rows of one batch have the same length, so there is no padding. What remains is rounding: a product over 16 rows
may add up in another order than over one. That can change a token only where the two best logits are nearly equal;
such rows are decoded once more, alone. Every answer is then the one of batch size 1.
"""

from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

# Logits closer than this decide nothing within a batch. Rounding moves them by about 1e-5 in float32, and by one
# or two steps of the type, at logits around 20, in the other two.
TIE_MARGIN = {torch.float32: 1e-2, torch.float16: 0.1, torch.bfloat16: 0.5}


class MarginRecorder(LogitsProcessor):
    """Notes by how much the best next token of each row leads, and changes nothing."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        best = scores.topk(2, dim=-1).values
        self.steps.append(best[:, 0] - best[:, 1])
        return scores


class GreedyDecoder:
    """Continues prompts of equal length.

    Args:
        model: A model in evaluation mode whose `generate` takes `input_ids` and image tensors.
        eos_token_id: Ends an answer.
        pad_token_id: Fills a row that has ended.
        max_new_tokens: Ends an answer that does not.
        tie_margin: In logits; by default `TIE_MARGIN` of the model's dtype.

    Attributes:
        num_decoded_alone: Rows that were decoded a second time because of a near tie.
    """

    def __init__(
        self, model: Any, *, eos_token_id: int, pad_token_id: int, max_new_tokens: int, tie_margin: float | None = None
    ) -> None:
        self.model = model
        self.tie_margin = TIE_MARGIN[model.dtype] if tie_margin is None else tie_margin
        self.config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
        )
        self.num_decoded_alone = 0

    def decode(self, input_ids: torch.Tensor, pixels: dict[str, torch.Tensor]) -> list[list[int]]:
        """Decode a batch.

        Args:
            input_ids: [B, T] int64, no padding.
            pixels: Image tensors of [B, ...].

        Returns:
            New tokens of each row up to and without `eos_token_id`.
        """
        answers, margins = self._generate(input_ids, pixels)
        if len(answers) > 1:
            for row, margin in enumerate(margins):
                if margin < self.tie_margin:
                    alone = {name: tensor[row : row + 1] for name, tensor in pixels.items()}
                    answers[row] = self._generate(input_ids[row : row + 1], alone)[0][0]
                    self.num_decoded_alone += 1
        return answers

    @torch.inference_mode()
    def _generate(
        self, input_ids: torch.Tensor, pixels: dict[str, torch.Tensor]
    ) -> tuple[list[list[int]], list[float]]:
        """New tokens of each row, and the least lead that any of them (its end included) had."""
        recorder = MarginRecorder()
        device = self.model.device
        output = self.model.generate(
            input_ids=input_ids.to(device),
            attention_mask=torch.ones_like(input_ids, device=device),
            **{name: tensor.to(device) for name, tensor in pixels.items()},
            generation_config=self.config,
            logits_processor=LogitsProcessorList([recorder]),
        )
        answers, margins = [], []
        leads = torch.stack(recorder.steps, dim=1).tolist()  # [B][steps]
        for tokens, lead in zip(output[:, input_ids.shape[1] :].tolist(), leads, strict=True):
            end = tokens.index(self.config.eos_token_id) if self.config.eos_token_id in tokens else len(tokens)
            answers.append(tokens[:end])
            margins.append(min(lead[: end + 1]))
        return answers, margins

"""BLIP-2 as a captioner: pictures in, candidates out (Li et al. 2023, arXiv:2301.12597).

The image features are put in front of the prompt's embeddings here, not by `Blip2ForConditionalGeneration.generate`:
its way needs an image token in tokenizer, vocabulary and config, which older checkpoints lack, gives the same tokens,
and encodes the image once per beam and draw. Here the vision tower and the Q-Former see an image once, however many
prompts and candidates there are. All rows share a prompt, so a batch is rectangular: nothing is padded, and a caption
does not depend on the pictures beside it.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor, LogitsProcessorList

from recap.captioning.candidates import Candidate
from recap.captioning.decoding import Decoding
from recap.captioning.generation import generation_config, greedy_tokens, stop_tokens, text_of
from recap.captioning.preprocessing import Preprocessing
from recap.captioning.sampling import KeyedSampling
from recap.captioning.writing import Sampling, Written, write_candidates
from recap.runtime.errors import UserError

CPU_BATCH = 16
"""Pictures that the vision tower sees at a time on a CPU."""


class Blip2Captioner:
    """A BLIP-2 model, its processor, and how it writes."""

    def __init__(
        self, model: Blip2ForConditionalGeneration, processor: Blip2Processor, decoding: Decoding | None = None
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        # A CPU is fastest on few enough pictures for its cache to hold what they become on their way.
        self.encoded_at_a_time = CPU_BATCH if model.device.type == "cpu" else None
        self.preprocessing = Preprocessing(processor.image_processor)
        self.decoding = decoding or Decoding()
        self.generation_config = generation_config(model.language_model, self.decoding, fallback=model)
        self.stop_tokens = stop_tokens(self.generation_config)
        self.prompts = [_prompt_ids(model, processor, prompt) for prompt in self.decoding.prompts]
        self._require_positions()

    def _require_positions(self) -> None:
        """Refuse now what a long caption would run into after hours: OPT has learned so many positions, and no more."""
        config = self.model.language_model.config
        taken = self.model.config.num_query_tokens + max(map(len, self.prompts)) + self.decoding.max_new_tokens
        if config.model_type == "opt" and taken > config.max_position_embeddings:
            most = config.max_position_embeddings - taken + self.decoding.max_new_tokens
            raise UserError(
                f"caption.max_new_tokens: expected at most {most}, as the captioner has "
                f"{config.max_position_embeddings} positions for image, prompt and caption, found "
                f"{self.decoding.max_new_tokens}; lower it or shorten caption.prompts"
            )

    def prompted(self, *prompts: str) -> "Blip2Captioner":
        """The same captioner with other prompts."""
        other = copy.copy(self)
        other.decoding = replace(self.decoding, prompts=prompts)
        other.prompts = [_prompt_ids(self.model, self.processor, prompt) for prompt in prompts]
        return other

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """Prepare an RGB picture of any size: [3, H, W]. Safe to call from several threads."""
        return self.preprocessing.prepare(image)

    @torch.inference_mode()
    def generate(self, inputs: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[list[Candidate]]:
        """Caption a batch.

        Args:
            inputs: B tensors from `pixels`.
            seeds: One per picture; what is drawn for it depends on nothing else.

        Raises:
            torch.OutOfMemoryError: The batch does not fit into the device's memory.
        """
        features = self.encode(torch.stack(list(inputs)))

        def continued(rows: Sequence[int], prompt: int, copies: int, sampling: Sampling | None) -> list[Written]:
            tokens = self.new_tokens(features[list(rows)], prompt, copies, sampling)
            return [text_of(row, self.processor.tokenizer, self.stop_tokens) for row in tokens.tolist()]

        return write_candidates(continued, self.decoding, seeds)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Prepared or normalised pictures [B, 3, H, W] -> [B, Q, D]: Q query tokens in the language model's width."""
        parts = pixels.split(self.encoded_at_a_time or len(pixels))
        return torch.cat([self._encode(self.preprocessing.values(part, self.model.device)) for part in parts])

    def _encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.model.get_image_features(pixel_values).pooler_output
        return features

    def new_tokens(
        self, features: torch.Tensor, prompt: int = 0, copies: int = 1, sampling: Sampling | None = None
    ) -> torch.Tensor:
        """Token ids after a prompt, [B * copies, at most max_new_tokens], copies of a row side by side."""
        language_model = self.model.language_model
        embeddings = self.model.get_input_embeddings()(self.prompts[prompt].to(features.device)).to(features.dtype)
        # [B, Q, D] + [T, D] -> [B, Q + T, D]
        inputs_embeds = torch.cat([features, embeddings.expand(len(features), -1, -1)], dim=1)
        if (sampling is None and self.decoding.num_beams > 1) or language_model.config.is_encoder_decoder:
            return self._generated(inputs_embeds, copies, sampling)
        return greedy_tokens(language_model, inputs_embeds, self.generation_config, copies, sampling)

    def _generated(self, inputs_embeds: torch.Tensor, copies: int, sampling: Sampling | None) -> torch.Tensor:
        """By transformers' `generate`: beams, and encoder-decoders (T5)."""
        language_model = self.model.language_model
        config, processors = self.generation_config, LogitsProcessorList()
        given = {"inputs_embeds": inputs_embeds}
        if sampling is not None:
            config = generation_config(language_model, self.decoding, fallback=self.model, num_beams=1)
            draws = sampling.draws.to(inputs_embeds.device)
            processors.append(KeyedSampling(draws, temperature=sampling.temperature, top_p=sampling.top_p))
        elif copies > 1:
            config.num_return_sequences = copies
        attention = torch.ones(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device)
        if sampling is not None and copies > 1:
            given = {"inputs_embeds": inputs_embeds.repeat_interleave(copies, dim=0)}
            attention = attention.repeat_interleave(copies, dim=0)
        # Given embeddings alone, generate returns new tokens alone: the prompt cannot get into the caption.
        tokens: torch.Tensor = language_model.generate(
            **given, attention_mask=attention, generation_config=config, logits_processor=processors
        )
        # Encoder-decoders put their start token in front.
        return tokens[:, 1:] if language_model.config.is_encoder_decoder else tokens


def _prompt_ids(model: Blip2ForConditionalGeneration, processor: Blip2Processor, prompt: str) -> torch.Tensor:
    """Token ids [T] that follow the image: the tokenized prompt, or the start token alone."""
    start = getattr(model.language_model.config, "bos_token_id", None)  # T5 has none
    if not prompt and start is not None:
        return torch.tensor([start])
    return torch.tensor(processor.tokenizer(prompt)["input_ids"], dtype=torch.long)

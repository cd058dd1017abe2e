"""Any other image-text-to-text model of transformers as a captioner, with its own processor and chat template.

A picture is prepared alone, with each prompt, as that processor does it. Only inputs of the same shapes are put into
one batch, so no family's way of padding, counting positions or masking gets a say: a caption is the same alone and
beside others. Pictures of different sizes make batches of their own where the processor keeps sizes.
"""

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from transformers import LogitsProcessor, LogitsProcessorList

from recap.captioning.candidates import Candidate
from recap.captioning.decoding import Decoding
from recap.captioning.generation import generation_config, stop_tokens, text_of
from recap.captioning.sampling import KeyedSampling
from recap.captioning.writing import Sampling, Written, write_candidates
from recap.runtime.errors import UserError

Inputs = dict[str, torch.Tensor]


class ImageTextCaptioner:
    """A model of `AutoModelForImageTextToText`, its processor, and how it writes."""

    def __init__(self, model: Any, processor: Any, decoding: Decoding | None = None) -> None:
        self.model = model.eval()
        self.processor = processor
        self.decoding = decoding or Decoding()
        self.generation_config = generation_config(model, self.decoding)
        self.stop_tokens = stop_tokens(self.generation_config)
        self.texts = [self._text(prompt) for prompt in self.decoding.prompts]

    def prompted(self, *prompts: str) -> "ImageTextCaptioner":
        """The same captioner with other prompts."""
        other = copy.copy(self)
        other.decoding = replace(self.decoding, prompts=prompts)
        other.texts = [self._text(prompt) for prompt in prompts]
        return other

    def pixels(self, image: Image.Image) -> list[Inputs]:
        """What the model is given of an RGB picture, per prompt: tensors, a batch of one. Safe in several threads."""
        return [self._inputs(image, text) for text in self.texts]

    @torch.inference_mode()
    def generate(self, inputs: Sequence[list[Inputs]], seeds: Sequence[int]) -> list[list[Candidate]]:
        """Caption a batch.

        Args:
            inputs: B results of `pixels`.
            seeds: One per picture; what is drawn for it depends on nothing else.

        Raises:
            torch.OutOfMemoryError: The batch does not fit into the device's memory.
        """

        def continued(rows: Sequence[int], prompt: int, copies: int, sampling: Sampling | None) -> list[Written]:
            return self._continued([inputs[row][prompt] for row in rows], copies, sampling)

        return write_candidates(continued, self.decoding, seeds)

    def _text(self, prompt: str) -> str | None:
        """The text that goes with an image: the prompt in the model's chat, or behind its image token."""
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}] + ([{"type": "text", "text": prompt}] if prompt else [])
            text: str = self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
            return text
        return (getattr(self.processor, "image_token", None) or "") + prompt or None

    def _inputs(self, image: Image.Image, text: str | None) -> Inputs:
        prepared = dict(self.processor(images=image, text=text, return_tensors="pt"))
        if wrong := [name for name, value in prepared.items() if not isinstance(value, torch.Tensor)]:
            raise UserError(
                f"models.captioner: expected a processor that makes tensors of one image, found {wrong[0]} of another "
                "kind; this family cannot be used"
            )
        if text is None:  # some processors make ids of no text, which is a text that has ended
            prepared = {name: value for name, value in prepared.items() if name not in ("input_ids", "attention_mask")}
        ids = prepared.get("input_ids")
        # BLIP takes the end mark away by itself; an encoder wants it.
        keeps_end = self.model.config.model_type == "blip" or self.model.config.is_encoder_decoder
        if ids is not None and not keeps_end and int(ids[0, -1]) in self.stop_tokens and ids.shape[1] > 1:
            for name in ("input_ids", "attention_mask", "token_type_ids"):
                if name in prepared:
                    prepared[name] = prepared[name][:, :-1]
        return prepared

    def _continued(self, inputs: list[Inputs], copies: int, sampling: Sampling | None) -> list[Written]:
        alike = defaultdict(list)
        for row, one in enumerate(inputs):
            alike[tuple((name, value.shape) for name, value in one.items())].append(row)
        written: list[list[Written]] = [[] for _ in inputs]
        for rows in alike.values():
            of_rows = None
            if sampling is not None:
                draws = torch.cat([sampling.draws[row * copies : (row + 1) * copies] for row in rows])
                of_rows = Sampling(draws, sampling.temperature, sampling.top_p)
            tokens = self._new_tokens([inputs[row] for row in rows], copies, of_rows).tolist()
            for place, row in enumerate(rows):
                written[row] = [
                    text_of(one, self.processor.tokenizer, self.stop_tokens)
                    for one in tokens[place * copies : (place + 1) * copies]
                ]
        return [one for row in written for one in row]

    def _new_tokens(self, inputs: list[Inputs], copies: int, sampling: Sampling | None) -> torch.Tensor:
        """Token ids after the prompt, [B * copies, T], of inputs with the same shapes."""
        start = _Start()
        config, processors = self.generation_config, LogitsProcessorList([start])
        if sampling is not None:
            config = generation_config(self.model, self.decoding, num_beams=1)
            draws = sampling.draws.to(self.model.device)
            processors.append(KeyedSampling(draws, temperature=sampling.temperature, top_p=sampling.top_p))
            inputs = [one for one in inputs for _ in range(copies)]
        else:
            config.num_return_sequences = copies
        batch = {name: self._placed(torch.cat([one[name] for one in inputs])) for name in inputs[0]}
        tokens: torch.Tensor = self.model.generate(**batch, generation_config=config, logits_processor=processors)
        return tokens[:, start.length :]

    def _placed(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(self.model.device, self.model.dtype if values.is_floating_point() else None)


class _Start(LogitsProcessor):
    """Notes how many tokens stand before the first new one: prompt, image and start tokens differ by family."""

    length: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.length is None:
            self.length = input_ids.shape[-1]
        return scores

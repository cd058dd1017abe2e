"""BLIP-2 as a captioner: pictures in, one caption each out (Li et al. 2023, arXiv:2301.12597).

The image features are put in front of the prompt's embeddings here, not by `Blip2ForConditionalGeneration.generate`:
its way needs an image token in tokenizer, vocabulary and config, which older checkpoints lack, and gives the same
tokens. All rows share one prompt, so a batch is rectangular: nothing is padded, and a caption does not depend on the
pictures beside it.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor, GenerationConfig, LogitsProcessorList

from recap.captioning.sampling import KeyedSampling, uniform_draws
from recap.captioning.text import clean_caption
from recap.io import read_object
from recap.runtime.errors import UserError


@dataclass(frozen=True)
class Decoding:
    """How captions are written.

    Attributes:
        prompt: Text that the caption continues; empty for plain captioning.
        max_new_tokens: Longest caption in tokens.
        num_beams: Width of beam search; 1 is greedy search, or sampling.
        do_sample: Draw tokens at random, by a seed per image; needs num_beams 1.
        temperature: Above 0; only for sampling.
        top_p: In (0, 1]; only for sampling.
    """

    prompt: str = ""
    max_new_tokens: int = 32
    num_beams: int = 1
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0


@dataclass(frozen=True)
class Generated:
    """A caption, "" when it holds no word; `truncated` when `max_new_tokens` ended it."""

    caption: str
    truncated: bool


class Blip2Captioner:
    """A BLIP-2 model, its processor, and how it writes."""

    def __init__(
        self, model: Blip2ForConditionalGeneration, processor: Blip2Processor, decoding: Decoding | None = None
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.decoding = decoding or Decoding()
        self.generation_config = _generation_config(model, self.decoding)
        self.stop_tokens = _stop_tokens(self.generation_config)
        self.prompt_ids = _prompt_ids(model, processor, self.decoding.prompt)

    @classmethod
    def load(cls, folder: Path, decoding: Decoding, *, device: torch.device, dtype: torch.dtype) -> "Blip2Captioner":
        """Load a `from_pretrained` folder; nothing is downloaded.

        In float16 the Q-Former stays in float32, as in LAVIS; in bfloat16 everything is bfloat16.

        Raises:
            UserError: The folder holds another kind of model, or lacks some of the weights.
        """
        model = _pretrained(folder, dtype=dtype)
        return cls(model.to(device), _processor(folder), decoding)

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """Preprocess an RGB picture of any size: float32 [3, H, W], normalised. Safe to call from several threads."""
        values: torch.Tensor = self.processor.image_processor(image, return_tensors="pt")["pixel_values"][0]
        return values

    @torch.inference_mode()
    def generate(self, pixels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[Generated]:
        """Caption a batch.

        Args:
            pixels: B tensors from `pixels`.
            seeds: One per picture; what sampling draws for it depends on nothing else.

        Raises:
            UserError: The batch does not fit into the device's memory.
        """
        try:
            tokens = self.new_tokens(torch.stack(list(pixels)), seeds)
        except torch.OutOfMemoryError:
            raise UserError(
                f"machine.caption_batch_size: a batch of {len(pixels)} images exceeds the memory of "
                f"{self.model.device}; lower it and run again (finished captions are kept)"
            ) from None
        return [self._decode(row) for row in tokens.tolist()]

    def new_tokens(self, pixel_values: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """Token ids after the prompt, [B, at most max_new_tokens]."""
        device = self.model.device
        # [B, 3, H, W] -> [B, Q, D]: Q query tokens in the width of the language model
        features = self.model.get_image_features(pixel_values.to(device)).pooler_output
        prompt = self.model.get_input_embeddings()(self.prompt_ids.to(device)).to(features.dtype)  # [T, D]
        inputs_embeds = torch.cat([features, prompt.expand(len(features), -1, -1)], dim=1)
        processors = LogitsProcessorList()
        if self.decoding.do_sample:
            draws = uniform_draws(seeds, self.decoding.max_new_tokens).to(device)
            processors.append(KeyedSampling(draws, temperature=self.decoding.temperature, top_p=self.decoding.top_p))
        # Given embeddings alone, generate returns new tokens alone: the prompt cannot get into the caption.
        tokens: torch.Tensor = self.model.language_model.generate(
            inputs_embeds=inputs_embeds,
            attention_mask=torch.ones(inputs_embeds.shape[:2], dtype=torch.long, device=device),
            generation_config=self.generation_config,
            logits_processor=processors,
        )
        # Encoder-decoders (T5) put their start token in front.
        return tokens[:, 1:] if self.model.language_model.config.is_encoder_decoder else tokens

    def _decode(self, tokens: list[int]) -> Generated:
        # What follows the stop token is padding, and not every tokenizer marks it as special.
        end = next((index for index, token in enumerate(tokens) if token in self.stop_tokens), None)
        text = self.processor.tokenizer.decode(tokens[:end], skip_special_tokens=True)
        return Generated(clean_caption(text, self.decoding.prompt), truncated=end is None)


def _generation_config(model: Blip2ForConditionalGeneration, decoding: Decoding) -> GenerationConfig:
    """The language model's own settings with what `decoding` says; sampling is greedy search over sampled logits."""
    config = copy.deepcopy(model.language_model.generation_config)
    config.update(
        max_new_tokens=decoding.max_new_tokens,
        max_length=None,
        num_beams=decoding.num_beams,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
    )
    if config.eos_token_id is None:
        config.eos_token_id = model.generation_config.eos_token_id
    if config.pad_token_id is None:
        config.pad_token_id = min(_stop_tokens(config), default=0)
    return config


def _stop_tokens(config: GenerationConfig) -> set[int]:
    ids = config.eos_token_id
    return set() if ids is None else {ids} if isinstance(ids, int) else set(ids)


def _prompt_ids(model: Blip2ForConditionalGeneration, processor: Blip2Processor, prompt: str) -> torch.Tensor:
    """Token ids [T] that follow the image: the tokenized prompt, or the start token alone."""
    start = getattr(model.language_model.config, "bos_token_id", None)  # T5 has none
    if not prompt and start is not None:
        return torch.tensor([start])
    return torch.tensor(processor.tokenizer(prompt)["input_ids"], dtype=torch.long)


def check_captioner(folder: Path) -> None:
    """Load a captioner but for its numbers: configuration, processor, names and shapes of its weights.

    Raises:
        UserError: See `Blip2Captioner.load`; or the tokenizer knows words that the model does not.
    """
    model, tokenizer = _pretrained(folder, device_map="meta"), _processor(folder).tokenizer
    rows = model.get_input_embeddings().weight.shape[0]
    if not tokenizer("a photo", add_special_tokens=False)["input_ids"]:
        raise UserError(
            f"{folder}: expected the captioner's tokenizer, found none that knows a word; get the model anew"
        )
    if (largest := max(tokenizer.get_vocab().values())) >= rows:
        raise UserError(
            f"{folder}: expected a tokenizer for the {rows} words of the captioner, found one with token {largest}: "
            "it is another model's; get the model anew"
        )


def _pretrained(folder: Path, **settings: Any) -> Any:
    found = read_object(folder / "config.json").get("model_type")
    if found != "blip-2":
        raise UserError(f"{folder}: expected a BLIP-2 model (model_type blip-2), found {found}; see models.captioner")
    loaded: Any = Blip2ForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, **settings
    )
    model, loading = loaded
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise UserError(f"{folder}: {len(missing)} weights are missing, {missing[0]} first; get the model anew")
    return model


def _processor(folder: Path) -> Blip2Processor:
    # One backend everywhere: torchvision, where it is installed, would resize to slightly other pixels.
    return Blip2Processor.from_pretrained(folder, backend="pil", local_files_only=True)

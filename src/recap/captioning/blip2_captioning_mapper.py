"""Recap's captioning as a Data-Juicer operator: `blip2_captioning_mapper`, for recipes that caption while they run.

It takes the arguments of Data-Juicer's `image_captioning_mapper`, makes as many rows as that one, and adds what it
lacks: a seed, a dtype, the settings of decoding. What it draws for a picture follows from the seed and the bytes
of the picture alone: not from the batch, the number of workers or the order of rows. A picture that comes more than
once in a batch of rows is captioned once, all its candidates from one encoding; junk is chosen only where nothing else
is there.

    dj-process --config recipe.yaml --custom-operator-paths src/recap/captioning/blip2_captioning_mapper.py

In a run of Recap the stage `caption` captions every picture once for all recipes; `blip2_caption_lookup_mapper`
looks up what it wrote.
"""

import io
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from recap.captioning.candidates import Candidate
from recap.captioning.decoding import Decoding
from recap.data.corpus.images import decode_image
from recap.data.corpus.index import digest_of
from recap.data.corpus.records import END_MARKER, IMAGE_MARKER
from recap.data.processing.juicer import OPERATORS
from recap.runtime.seeding import derive_seed

Batch = dict[str, list[Any]]

MARKERS = re.compile(r"<__dj__\w+>|<\|__dj__\w+\|>")

_Stock: Any = OPERATORS.modules["image_captioning_mapper"]
# What the stock operator asks of its base class, but not its own constructor, which fetches a model.
_BASE: Any = _Stock.__mro__[1]


@dataclass(frozen=True)
class _Model:
    """What has to be loaded, once per process."""

    folder: str
    device: str
    dtype: str
    quantization: str
    trust_remote_code: bool


@dataclass(frozen=True)
class _Place:
    """An image of a row, and the prompt that its caption continues."""

    path: str
    prompt: str


@lru_cache(maxsize=1)
def _captioner(model: _Model, decoding: Decoding) -> Any:
    from recap.captioning.loading import load_captioner
    from recap.models.loading import pick_device, pick_dtype
    from recap.models.presence import require_model

    device = pick_device(model.device)
    return load_captioner(
        require_model(model.folder, "captioner"), decoding, device=device, dtype=pick_dtype(model.dtype, device),
        quantization=model.quantization, trust_remote_code=model.trust_remote_code,
    )  # fmt: skip


@OPERATORS.register_module("blip2_captioning_mapper")
class Blip2CaptioningMapper(_Stock):
    """Captions the images of rows with a BLIP-2, or any image-text-to-text model.

    Args:
        hf_img2seq: The model's folder; nothing is downloaded.
        trust_remote_code: Whether the folder's own Python code may run.
        caption_num: Candidates per image.
        keep_candidate_mode: random_any (by the seed), similar_one_simhash (the most similar to the row's text; needs
            the package simhash-pybind), or all (a row for each).
        keep_original_sample: Whether the row itself stays, before those with its captions.
        prompt: A text that captions continue.
        prompt_key: The field of rows with a prompt of their own, which goes before `prompt`.
        gpu_batch_size: Images at a time.
        seed: Of sampling and of random_any.
        dtype: auto, float32, bfloat16 or float16.
        quantization: none, 8bit or 4bit.
        min_new_tokens: Shortest caption in tokens.
        max_new_tokens: Longest caption in tokens.
        num_beams: Width of beam search; needs do_sample false.
        do_sample: Draw tokens at random; false takes the most probable, which gives num_beams candidates at most.
        temperature: Of sampling.
        top_p: Of sampling.
        repetition_penalty: Above 1: tokens that are there already become less likely.
        redraws: Times that junk is drawn anew.
        language: The language asked for, such as en.
    """

    _accelerator = "cuda"
    _batched_op = True

    def __init__(
        self,
        hf_img2seq: str = "Salesforce/blip2-opt-2.7b",
        trust_remote_code: bool = False,
        caption_num: int = 1,
        keep_candidate_mode: str = "random_any",
        keep_original_sample: bool = True,
        prompt: str | None = None,
        prompt_key: str | None = None,
        gpu_batch_size: int = 8,
        seed: int = 42,
        dtype: str = "auto",
        quantization: str = "none",
        min_new_tokens: int = 0,
        max_new_tokens: int = 128,
        num_beams: int = 1,
        do_sample: bool = True,
        temperature: float = 1.0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        redraws: int = 0,
        language: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        _BASE.__init__(self, *args, **kwargs)
        if keep_candidate_mode not in ("random_any", "similar_one_simhash", "all"):
            raise ValueError(
                f"keep_candidate_mode: expected random_any, similar_one_simhash or all, found {keep_candidate_mode!r}"
            )
        if not do_sample and caption_num > num_beams:
            raise ValueError(
                f"caption_num: expected at most num_beams ({num_beams}) without do_sample, found {caption_num}"
            )
        if do_sample and num_beams > 1:
            raise ValueError(f"num_beams: expected 1 with do_sample, found {num_beams}")
        self.keep_candidate_mode = keep_candidate_mode
        self.keep_original_sample = keep_original_sample
        self.caption_num = caption_num
        self.num_newly_generated_samples = caption_num if keep_candidate_mode == "all" else 1
        self.prompt = prompt
        self.prompt_key = prompt_key
        self.gpu_batch_size = gpu_batch_size
        self.seed = seed
        self.extra_args = kwargs
        self.model = _Model(hf_img2seq, "auto", dtype, quantization, trust_remote_code)
        self.decoding = Decoding(
            candidates=caption_num, min_new_tokens=min_new_tokens, max_new_tokens=max_new_tokens, num_beams=num_beams,
            do_sample=do_sample, temperature=temperature, top_p=top_p, repetition_penalty=repetition_penalty,
            redraws=redraws, language=language,
        )  # fmt: skip

    def process_batched(self, samples: Batch, rank: int | None = None) -> Batch:
        """Rows with a caption after the place of each image, and none of what else their texts said."""
        rows = [dict(zip(samples, values, strict=True)) for values in zip(*samples.values(), strict=True)]
        places = [self._places(row) for row in rows]
        captions = iter(self._captions([place for of_row in places for place in of_row], rank))
        done = []
        for row, of_row in zip(rows, places, strict=True):
            done += [row] if self.keep_original_sample else []
            if row.get(self.image_key):
                texts = self._texts(row[self.text_key], list(islice(captions, len(of_row))))
                done += [row | {self.text_key: text} for text in texts]
        return {name: [row[name] for row in done] for name in samples}

    def _places(self, row: dict[str, Any]) -> list[_Place]:
        own = row.get(self.prompt_key) if self.prompt_key else None
        prompt = own if isinstance(own, str) else self.prompt or ""
        # A text may mark more images than there are, or fewer.
        images = islice(row.get(self.image_key) or [], row[self.text_key].count(IMAGE_MARKER))
        return [_Place(path, prompt) for path in images]

    def _texts(self, text: str, captions: list[list[str]]) -> list[str]:
        """A row's text anew: its markers, and behind each image's one of that image's captions.

        The stock operator puts the captions of two images of one chunk behind the first of them, the last one first.
        """
        texts = [""] * self.num_newly_generated_samples
        left = iter(captions)
        for chunk in filter(str.strip, text.split(END_MARKER)):
            for marker in [*MARKERS.findall(chunk), END_MARKER]:
                found = next(left, None) if marker == IMAGE_MARKER else None
                behind = [""] * len(texts) if found is None else self._reduce_captions_per_image(chunk, found)
                texts = [
                    f"{text}{marker} {one} " if one else f"{text}{marker}"
                    for text, one in zip(texts, behind, strict=True)
                ]
        return texts

    def _captions(self, places: Sequence[_Place], rank: int | None) -> list[list[str]]:
        """Of each place as many captions as its mode chooses from."""
        contents = {path: Path(path).read_bytes() for path in dict.fromkeys(place.path for place in places)}
        digests = {path: digest_of(content) for path, content in contents.items()}
        found: dict[tuple[str, str], list[str]] = {}
        for prompt in dict.fromkeys(place.prompt for place in places):
            wanted = {digests[place.path]: place.path for place in places if place.prompt == prompt}
            captioner = self._loaded(rank).prompted(prompt)
            for start in range(0, len(wanted), self.gpu_batch_size):
                batch = dict(islice(wanted.items(), start, start + self.gpu_batch_size))
                pictures = [decode_image(io.BytesIO(contents[path]), repr(path)) for path in batch.values()]
                seeds = [derive_seed(self.seed, "caption", digest) for digest in batch]
                written = captioner.generate([captioner.pixels(picture) for picture in pictures], seeds)
                for digest, candidates in zip(batch, written, strict=True):
                    found[digest, prompt] = self._kept(digest, candidates)
        return [found[digests[place.path], place.prompt] for place in places]

    def _kept(self, digest: str, candidates: Sequence[Candidate]) -> list[str]:
        """The captions to choose from; equal ones were one candidate, so some come again where all are kept."""
        texts = [one.caption for one in candidates if one.junk is None] or [one.caption for one in candidates]
        if self.keep_candidate_mode == "random_any":
            return [random.Random(derive_seed(self.seed, "random_any", digest)).choice(texts)]
        return list(islice(cycle(texts), self.caption_num))

    def _loaded(self, rank: int | None) -> Any:
        model = replace(self.model, device="cpu") if not self.use_cuda() else self.model
        if self.use_cuda() and rank is not None:
            import torch

            model = replace(model, device=f"cuda:{rank % torch.cuda.device_count()}")
        return _captioner(model, self.decoding)

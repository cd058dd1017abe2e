"""What is timed: Recap's engine, and what one would write or use instead, on one model that is loaded once."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from recap.captioning import captions as stage
from recap.captioning.batching import BatchSize
from recap.captioning.blip2 import Blip2Captioner
from recap.captioning.decoding import Decoding
from recap.captioning.outcomes import Allowance, Captioned, outcomes
from recap.captioning.pictures import digests_of, names_by_digest
from recap.data.corpus.records import caption_of, dj_text
from recap.runtime.store import Store

ROWS_AT_A_TIME = 1000
"""What Data-Juicer hands to a mapper at once."""


@dataclass(frozen=True)
class Loaded:
    """A model in its place, with its processor."""

    model: Any
    processor: Any


@dataclass(frozen=True)
class Task:
    """How captions are to be written, whatever the pictures.

    Attributes:
        root: A folder of pictures.
        decoding: How captions are written.
        batch_size: Pictures at a time.
        workers: Threads that open pictures, for whoever uses such.
    """

    root: Path
    decoding: Decoding
    batch_size: int
    workers: int


Captions = dict[str, list[str]]
Work = Callable[[list[str]], Captions]
"""From names of pictures, some perhaps more than once, to the candidates of each."""


def recap(loaded: Loaded, task: Task) -> Work:
    """Recap as its stage runs: pictures by digest, each once, opened and prepared in threads, into a new store."""
    captioner = Blip2Captioner(loaded.model, loaded.processor, task.decoding)

    def work(names: list[str]) -> Captions:
        digests = digests_of(task.root, list(dict.fromkeys(names)), threads=task.workers)
        pictures = names_by_digest(digests)
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
            stage.caption_missing(
                lambda: captioner, store, {}, stage.Work(task.root, pictures, list(pictures)),
                seed=0, batch_size=BatchSize(task.batch_size, memory=None), threads=task.workers,
                allowance=Allowance(100.0, len(digests)),
            )  # fmt: skip
            found = [outcome for outcome in outcomes(store, {}, digests, []) if isinstance(outcome, Captioned)]
        return {outcome.image: [candidate.caption for candidate in outcome.candidates] for outcome in found}

    return work


def transformers_loop(loaded: Loaded, task: Task) -> Work:
    """The model card's example; in a batch of one as it stands there."""
    settings = _settings(task.decoding)

    @torch.inference_mode()
    def work(names: list[str]) -> Captions:
        captions: Captions = {name: [] for name in names}
        for start in range(0, len(names), task.batch_size):
            batch = names[start : start + task.batch_size]
            pictures = [Image.open(task.root / name).convert("RGB") for name in batch]
            inputs = loaded.processor(images=pictures, return_tensors="pt").to(loaded.model.device, loaded.model.dtype)
            for _ in range(task.decoding.candidates):
                tokens = loaded.model.generate(**inputs, **settings)
                texts = loaded.processor.batch_decode(tokens, skip_special_tokens=True)
                for name, text in zip(batch, texts, strict=True):
                    captions[name].append(text.strip())
        return captions

    return work


def data_juicer(loaded: Loaded, task: Task) -> Work:
    """Data-Juicer's image_captioning_mapper, on rows as a recipe gives them to it.

    Three things are changed so that it runs on another model than blip2-opt-2.7b, and on equal terms: it is handed the
    loaded model, keeps that model's own `image_token_index` (it sets 50265 whatever the model), and decodes as told
    (it always samples up to 128 tokens).
    """
    from recap.data.processing import juicer

    operator = juicer.OPERATORS.modules["image_captioning_mapper"]
    told = _Told(loaded.model, _settings(task.decoding))
    module: Any = import_module(operator.__module__)
    module.prepare_model = lambda **_: "loaded"
    module.get_model = lambda *_: (told, loaded.processor)
    mapper = operator(
        hf_img2seq="loaded", keep_original_sample=False, gpu_batch_size=task.batch_size,
        caption_num=task.decoding.candidates, keep_candidate_mode="all",
    )  # fmt: skip

    def work(names: list[str]) -> Captions:
        captions: Captions = {name: [] for name in names}
        for start in range(0, len(names), ROWS_AT_A_TIME):
            batch = names[start : start + ROWS_AT_A_TIME]
            images = [[str(task.root / name)] for name in batch]
            done = mapper.process_batched({"text": [dj_text("")] * len(batch), "images": images, "name": batch})
            for name, text in zip(done["name"], done["text"], strict=True):
                captions[name].append(caption_of(text))
        return captions

    return work


class _Told:
    """A model that decodes as told, and keeps its own configuration."""

    def __init__(self, model: Any, settings: dict[str, Any]) -> None:
        self.model, self.settings, self.device = model, settings, model.device
        self.config = type("Ignored", (), {})()

    def generate(self, **inputs: Any) -> Any:
        with torch.inference_mode():
            return self.model.generate(**inputs | self.settings)


def _settings(decoding: Decoding) -> dict[str, Any]:
    """The same decoding for transformers' `generate`."""
    # Without top_k, transformers would draw among the 50 most probable tokens alone.
    sampling = {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
    return {
        "max_new_tokens": decoding.max_new_tokens,
        "min_new_tokens": decoding.min_new_tokens or None,
        "num_beams": decoding.num_beams,
        **(sampling if decoding.do_sample else {"do_sample": False}),
    }


SYSTEMS: dict[str, Callable[[Loaded, Task], Work]] = {
    "recap": recap,
    "transformers": transformers_loop,
    "data-juicer": data_juicer,
}

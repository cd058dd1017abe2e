"""What is timed: Recap's engine, and what one would write or use instead, on one model that is loaded once."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from recap.captioning.blip2 import Blip2Captioner
from recap.captioning.decoding import Decoding
from recap.captioning.prefetch import prefetch
from recap.data.corpus.images import open_image
from recap.data.corpus.records import caption_of, dj_text


@dataclass(frozen=True)
class Loaded:
    """A model in its place, with its processor."""

    model: Any
    processor: Any


@dataclass(frozen=True)
class Task:
    """What every system is given.

    Attributes:
        root: A folder of pictures.
        names: Their files, some perhaps copies of others.
        decoding: How captions are written.
        workers: Threads that open pictures, for whoever uses such.
    """

    root: Path
    names: list[str]
    decoding: Decoding
    workers: int

    def first(self, count: int) -> "Task":
        """The same for fewer pictures."""
        return replace(self, names=self.names[:count])


Captions = dict[str, list[str]]
System = Callable[[Loaded, Task, int], Captions]
"""From a model, a task and a batch size to the candidates of every picture."""


def recap(loaded: Loaded, task: Task, batch_size: int) -> Captions:
    """Recap: each picture's bytes once, opened and prepared in threads, candidates from one encoding.

    Writing what it found to the store is not in it.
    """
    captioner = Blip2Captioner(loaded.model, loaded.processor, task.decoding)

    def digest(name: str) -> bytes:
        return hashlib.blake2b((task.root / name).read_bytes(), digest_size=16).digest()

    with ThreadPoolExecutor(task.workers) as pool:
        digests = dict(zip(task.names, pool.map(digest, task.names), strict=True))
    unique = list({digests[name]: name for name in reversed(task.names)}.values())
    batches = [unique[start : start + batch_size] for start in range(0, len(unique), batch_size)]
    found = {}
    load = prefetch(batches, lambda name: captioner.pixels(open_image(task.root, name)), workers=task.workers)
    for names, pixels in zip(batches, load, strict=True):
        seeds = [int.from_bytes(digests[name][:7]) for name in names]
        for name, candidates in zip(names, captioner.generate(pixels, seeds), strict=True):
            found[digests[name]] = [candidate.caption for candidate in candidates]
    return {name: found[digests[name]] for name in task.names}


def transformers_loop(loaded: Loaded, task: Task, batch_size: int) -> Captions:
    """The model card's example; in a batch of one as it stands there."""
    settings = _settings(task.decoding)
    captions: Captions = {name: [] for name in task.names}
    for start in range(0, len(task.names), batch_size):
        names = task.names[start : start + batch_size]
        pictures = [Image.open(task.root / name).convert("RGB") for name in names]
        inputs = loaded.processor(images=pictures, return_tensors="pt").to(loaded.model.device, loaded.model.dtype)
        for _ in range(task.decoding.candidates):
            with torch.inference_mode():
                tokens = loaded.model.generate(**inputs, **settings)
            for name, text in zip(names, loaded.processor.batch_decode(tokens, skip_special_tokens=True), strict=True):
                captions[name].append(text.strip())
    return captions


def data_juicer(loaded: Loaded, task: Task, batch_size: int) -> Captions:
    """Data-Juicer's image_captioning_mapper, on rows as a recipe gives them to it.

    Three things are changed so that it runs on another model than blip2-opt-2.7b, and on equal terms: it is handed the
    loaded model, keeps that model's own `image_token_index` (it sets 50265 whatever the model), and decodes as told
    (it always samples up to 128 tokens).
    """
    from recap.data.processing import juicer

    operator = juicer.OPERATORS.modules["image_captioning_mapper"]
    module = __import__(operator.__module__, fromlist=["get_model"])
    kept = {name: getattr(module, name) for name in ("prepare_model", "get_model")}
    told = _Told(loaded.model, _settings(task.decoding))
    module.prepare_model = lambda **_: "loaded"
    module.get_model = lambda *_: (told, loaded.processor)
    try:
        mapper = operator(
            hf_img2seq="loaded", keep_original_sample=False, gpu_batch_size=batch_size,
            caption_num=task.decoding.candidates, keep_candidate_mode="all",
        )  # fmt: skip
        rows = {
            "text": [dj_text("")] * len(task.names),
            "images": [[str(task.root / name)] for name in task.names],
            "name": task.names,
        }
        captions: Captions = {name: [] for name in task.names}
        # Data-Juicer hands it a thousand rows at a time.
        for start in range(0, len(task.names), 1000):
            done = mapper.process_batched({key: values[start : start + 1000] for key, values in rows.items()})
            for name, text in zip(done["name"], done["text"], strict=True):
                captions[name].append(caption_of(text))
        return captions
    finally:
        for name, function in kept.items():
            setattr(module, name, function)


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


SYSTEMS: dict[str, System] = {"recap": recap, "transformers": transformers_loop, "data-juicer": data_juicer}

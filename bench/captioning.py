"""Images per second: Recap's captioning against what one would write or use instead, on the same model and images.

    python bench/captioning.py --model models/tiny/captioner --images data/corpus --count 256

Prints a table and writes JSON. Times include opening and preprocessing the images, and for Recap its journal; loading
the model and one warm-up batch are left out. bench/README.md explains the rivals and the columns.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from tables import print_table
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from recap.captioning.blip2 import Blip2Captioner, Decoding
from recap.captioning.captions import Caption, caption_images
from recap.data.corpus.images import stored_image
from recap.data.corpus.index import index_of
from recap.data.corpus.records import caption_of, dj_text
from recap.io import write_json
from recap.models.loading import pick_device, pick_dtype
from recap.models.presence import require_model
from recap.runtime.errors import UserError
from recap.runtime.scratch import Journal
from recap.runtime.seeding import seed_everything
from recap.runtime.stage import run
from recap.runtime.timing import hardware

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
COLUMNS = ("system", "decoding", "batch_size", "images_per_second", "peak_gib", "words_mean", "same_percent")


@dataclass(frozen=True)
class Setting:
    """What every system is given."""

    model: Path
    root: Path
    images: list[str]
    device: torch.device
    dtype: torch.dtype
    max_new_tokens: int


Captions = dict[str, str]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/tiny/captioner"), help="BLIP-2 folder")
    parser.add_argument("--images", type=Path, default=Path("data/corpus"), help="corpus, or folder of images")
    parser.add_argument("--count", type=int, default=256, help="images to caption; a smaller folder is repeated")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--num-beams", type=int, default=3)
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--output", type=Path, default=Path("bench/results/captioning.json"))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    device = pick_device(args.device)
    dtype = pick_dtype(args.dtype, device)
    model = require_model(args.model, "captioner")
    seed_everything(0)
    with repeated(args.images, args.count) as (root, images):
        setting = Setting(model, root, images, device, dtype, args.max_new_tokens)
        rows = [*recap_rows(setting, args.batch_sizes, args.num_beams), *rival_rows(setting)]
    print_table(COLUMNS, rows)
    write_json(args.output, {"hardware": accelerator(device), "setting": described(setting, args.images), "rows": rows})
    print(f"\n{args.output}")


@contextmanager
def repeated(folder: Path, count: int) -> Iterator[tuple[Path, list[str]]]:
    """A temporary folder of `count` images, those of a corpus or folder over and over, and their names."""
    index = index_of(folder)
    names = index.names if index is not None else [str(path) for path in sorted(folder.rglob("*"))]
    found = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    if not found:
        raise UserError(f"{folder}: expected images ({', '.join(sorted(SUFFIXES))}), found none; see --images")
    with tempfile.TemporaryDirectory() as temporary:
        copies = []
        for number in range(count):
            name = found[number % len(found)]
            copies.append(f"{number:06d}{Path(name).suffix}")
            content = stored_image(index, name) if index is not None else Path(name).read_bytes()
            (Path(temporary) / copies[-1]).write_bytes(content)
        yield Path(temporary), copies


def measured(
    system: str, decoding: str, batch_size: int, setting: Setting, work: Callable[[], Captions]
) -> dict[str, Any]:
    """Run once and time it."""
    if setting.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(setting.device)
        torch.cuda.synchronize(setting.device)
    start = time.perf_counter()
    captions = work()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated(setting.device) / 2**30 if setting.device.type == "cuda" else None
    words = [len(caption.split()) for caption in captions.values()]
    row = {
        "system": system,
        "decoding": decoding,
        "batch_size": batch_size,
        "images_per_second": round(len(setting.images) / seconds, 2),
        "seconds": round(seconds, 2),
        "peak_gib": peak and round(peak, 2),
        "words_mean": round(sum(words) / len(words), 2) if words else None,
    }
    print(f"{system}, {decoding}, batch {batch_size}: {row['images_per_second']} images/s", flush=True)
    return row | {"captions": captions}


def recap_rows(setting: Setting, batch_sizes: list[int], num_beams: int) -> list[dict[str, Any]]:
    """Recap at every batch size and decoding; `same_percent` compares captions with those of the first batch size."""
    greedy = Decoding(max_new_tokens=setting.max_new_tokens)
    decodings = {
        "greedy": greedy,
        "sampled": replace(greedy, do_sample=True),
        f"beam {num_beams}": replace(greedy, num_beams=num_beams),
    }
    rows = []
    for name, decoding in decodings.items():
        captioner = Blip2Captioner.load(setting.model, decoding, device=setting.device, dtype=setting.dtype)
        first: Captions = {}
        for batch_size in batch_sizes:
            recap_captions(captioner, replace(setting, images=setting.images[:batch_size]), batch_size)
            row = measured(
                "recap", name, batch_size, setting,
                partial(recap_captions, captioner, setting, batch_size),
            )  # fmt: skip
            captions = row.pop("captions")
            first = first or captions
            same = sum(captions.get(image) == caption for image, caption in first.items())
            rows.append(row | {"same_percent": round(100 * same / len(first), 2) if first else None})
    return rows


def recap_captions(captioner: Blip2Captioner, setting: Setting, batch_size: int) -> Captions:
    with tempfile.TemporaryDirectory() as scratch:
        result = caption_images(
            captioner, setting.root, setting.images,
            journal=Journal(Path(scratch) / "journal.jsonl"), seed=0, batch_size=batch_size, max_failed=100.0,
        )  # fmt: skip
    return {outcome.image: outcome.caption for outcome in result.outcomes if isinstance(outcome, Caption)}


def rival_rows(setting: Setting) -> Iterator[dict[str, Any]]:
    """What one would use instead; a rival that cannot run says why."""
    for system, decoding, batch_size, prepare in (
        ("transformers loop", "greedy", 1, transformers_loop),
        ("data-juicer mapper", "sampled", 8, data_juicer_mapper),
    ):
        try:
            work = prepare(setting)
            work(setting.images[:batch_size])
            row = measured(system, decoding, batch_size, setting, partial(work, setting.images))
        except (ImportError, IndexError, RuntimeError, ValueError, TypeError, UserError) as error:
            print(f"{system}: did not run: {error}")
            yield {"system": system, "decoding": decoding, "batch_size": batch_size, "did_not_run": str(error)}
        else:
            del row["captions"]
            yield row


def transformers_loop(setting: Setting) -> Callable[[list[str]], Captions]:
    """The model card's example in a loop: one image at a time."""
    model: Any = Blip2ForConditionalGeneration.from_pretrained(setting.model, dtype=setting.dtype)
    model = model.to(setting.device).eval()
    processor = Blip2Processor.from_pretrained(setting.model)

    @torch.inference_mode()
    def work(images: list[str]) -> Captions:
        captions = {}
        for name in images:
            picture = Image.open(setting.root / name).convert("RGB")
            inputs = processor(images=picture, return_tensors="pt").to(setting.device, setting.dtype)
            tokens = model.generate(**inputs, max_new_tokens=setting.max_new_tokens, do_sample=False)
            captions[name] = processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
        return captions

    return work


def data_juicer_mapper(setting: Setting) -> Callable[[list[str]], Captions]:
    """Data-Juicer's image_captioning_mapper with its own defaults: float32, 8 images a batch, sampling.

    Two things are changed so that it runs at all on a model other than blip2-opt-2.7b, both in its favour: it sets
    `image_token_index` to 50265 whatever the model, and always asks for up to 128 tokens.
    """
    from recap.data.processing import juicer

    mapper = juicer.OPERATORS.modules["image_captioning_mapper"](
        hf_img2seq=str(setting.model), keep_original_sample=False
    )
    model, _ = juicer.model_utils.get_model(mapper.model_key, None, mapper.use_cuda())
    own_class, generate = type(model.config), model.generate

    class KeepsItsImageToken(own_class):  # type: ignore[misc, valid-type]
        def __setattr__(self, name: str, value: Any) -> None:
            if name != "image_token_index":
                super().__setattr__(name, value)

    model.config.__class__ = KeepsItsImageToken
    model.generate = lambda **inputs: generate(**inputs | {"max_new_tokens": setting.max_new_tokens})

    def work(images: list[str]) -> Captions:
        captions: Captions = {}
        for start in range(0, len(images), mapper.gpu_batch_size):
            names = images[start : start + mapper.gpu_batch_size]
            rows = {"text": [dj_text("")] * len(names), "images": [[str(setting.root / name)] for name in names]}
            texts = map(caption_of, mapper.process_batched(rows)["text"])
            captions |= dict(zip(names, texts, strict=True))
        return captions

    return work


def accelerator(device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {**hardware(), "gpu": gpu, "torch_threads": torch.get_num_threads()}


def described(setting: Setting, images: Path) -> dict[str, Any]:
    return {
        "model": str(setting.model),
        "images": str(images),
        "count": len(setting.images),
        "dtype": str(setting.dtype),
        "max_new_tokens": setting.max_new_tokens,
        "versions": {name: version(name) for name in ("torch", "transformers", "py-data-juicer", "pillow")},
    }


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    run(main)

"""Loading a folder as its users do, and letting the model say a few words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from recap.io import read_json
from recap.models.mgm.build import processor_for
from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.convert import Original, read_original
from recap.training.check.findings import Findings

QUESTION = "What is shown?"
NEW_TOKENS = 8


def file_list(folder: Path) -> str:
    """The folder's files with their sizes."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return ", ".join(f"{file.name} ({_size(file.stat().st_size)})" for file in files)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def try_model(findings: Findings, load: Callable[[], tuple[Any, Any]], text: str) -> None:
    """Rows "loads" and "generates" of what `load` gives: a model, and a processor or None.

    A folder with a fault is not tried: loading might fill in what is missing with random numbers.
    """
    if findings.any_failed():
        findings.untried("loads", "not tried: see the faults above")
        return
    with findings.attempt("loads"):
        model, processor = load()
        findings.ok("loads", text)
    if findings.failed("loads"):
        return
    if processor is None:
        findings.untried("generates", "not tried: there is no tokenizer")
        return
    with findings.attempt("generates"):
        findings.ok("generates", f"{QUESTION!r}, of a grey image: {_answer(model.eval(), processor)!r}")


def try_on_base(folder: Path, findings: Findings, base: Path | None, put: Callable[[Any, Path], object]) -> None:
    """Rows "loads" and "generates" of a part that `put` puts on a base model."""
    if base is None:
        for subject in ("loads", "generates"):
            findings.untried(subject, "not tried: give --base, the model that it is put on")
        return

    def load() -> tuple[Any, Any]:
        model, processor = load_model(base)
        put(model, folder)
        return model, processor

    try_model(findings, load, f"on {base}")


def load_model(folder: Path) -> tuple[Any, Any]:
    """A model of this project or a published one of the original, and its processor where there is a tokenizer."""
    if read_json(folder / "config.json").get("model_type") == MGMConfig.model_type:
        return AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    return model_of(read_original(folder))


def model_of(original: Original) -> tuple[Any, Any]:
    """The same of a published one that was read before."""
    tokenizer = original.tokenizer
    return original.model(), None if tokenizer is None else processor_for(original.config, tokenizer)


@torch.inference_mode()
def _answer(model: Any, processor: Any) -> str:
    inputs = processor(processor.prompt(QUESTION), Image.new("RGB", (64, 48), (122, 116, 104)))
    if not torch.isfinite(model(**inputs).logits).all():
        raise ValueError("expected finite logits, found NaN or infinity")
    tokens = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    text: str = processor.tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return text.strip()

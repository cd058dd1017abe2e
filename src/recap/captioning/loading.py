"""A captioner from its folder, of whatever family it is."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, Blip2Processor

from recap.captioning.blip2 import Blip2Captioner
from recap.captioning.decoding import Decoding
from recap.captioning.image_text import ImageTextCaptioner
from recap.io import read_object
from recap.runtime.errors import UserError
from recap.runtime.pickles import tensors_alone
from recap.runtime.remote_code import own_code_explained


def load_captioner(
    folder: Path, decoding: Decoding, *,
    device: torch.device, dtype: torch.dtype, quantization: str = "none", trust_remote_code: bool = False,
) -> Blip2Captioner | ImageTextCaptioner:  # fmt: skip
    """Load a `from_pretrained` folder of any image-text-to-text model; nothing is downloaded.

    In float16 BLIP-2's Q-Former stays in float32, as in LAVIS; in bfloat16 everything is bfloat16.

    Args:
        folder: The model and its processor.
        decoding: How it writes.
        device: Where it runs.
        dtype: Of its weights and sums.
        quantization: none, 8bit or 4bit: linear layers by bitsandbytes, on a GPU.
        trust_remote_code: Whether the folder's own Python code may run.

    Raises:
        UserError: The folder holds another kind of model or lacks some of the weights, or bitsandbytes is missing.
    """
    settings: dict[str, Any] = {"dtype": dtype}
    if quantization != "none":
        settings |= {"quantization_config": _quantized(quantization, device, dtype), "device_map": {"": device}}
    model = _pretrained(folder, trust_remote_code, **settings)
    if quantization == "none":
        model = model.to(device)
    captioner = Blip2Captioner if _family(folder) == "blip-2" else ImageTextCaptioner
    return captioner(model, _processor(folder, trust_remote_code), decoding)


def check_captioner(folder: Path, *, trust_remote_code: bool = False) -> None:
    """Load a captioner but for its numbers: configuration, processor, names and shapes of its weights.

    Raises:
        UserError: See `load_captioner`; or the tokenizer knows words that the model does not.
    """
    model = _pretrained(folder, trust_remote_code, device_map="meta")
    tokenizer = _processor(folder, trust_remote_code).tokenizer
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


def _family(folder: Path) -> str:
    return str(read_object(folder / "config.json").get("model_type"))


def _pretrained(folder: Path, trust_remote_code: bool, **settings: Any) -> Any:
    try:
        with tensors_alone(folder), own_code_explained(folder, "captioner"):
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, trust_remote_code=trust_remote_code,
                weights_only=True, **settings,
            )  # fmt: skip
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error) and "model type" not in str(error):
            raise
        raise UserError(
            f"{folder}: expected a model that writes text about an image (transformers' image-text-to-text), found "
            f"model_type {_family(folder)}; see models.captioner"
        ) from None
    model, loading = loaded
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise UserError(f"{folder}: {len(missing)} weights are missing, {missing[0]} first; get the model anew")
    return model


def _processor(folder: Path, trust_remote_code: bool) -> Any:
    # One backend everywhere: torchvision, where it is installed, would resize to slightly other pixels.
    if _family(folder) == "blip-2":
        return Blip2Processor.from_pretrained(folder, backend="pil", local_files_only=True)
    with own_code_explained(folder, "captioner's processor"):
        return AutoProcessor.from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=trust_remote_code
        )


def _quantized(quantization: str, device: torch.device, dtype: torch.dtype) -> Any:
    if importlib.util.find_spec("bitsandbytes") is None or device.type != "cuda":
        lacking = "a GPU" if device.type != "cuda" else "the package bitsandbytes"
        raise UserError(
            f"caption.quantization: {quantization} needs {lacking}, which is not there; install bitsandbytes on a "
            "machine with a GPU, or set it to none"
        )
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)

"""What captions are kept under in the store: everything that shapes them but the image.

It is known before the captioner is loaded, so that a run with nothing to caption loads none. Neither source files nor
versions of libraries are part of it: captions stay when code is tidied. `ENGINE_VERSION` is raised by hand instead.
"""

from typing import Any

import torch

from recap.captioning.decoding import Decoding
from recap.captioning.generation import ENGINE_VERSION
from recap.captioning.junk import languages_told_by
from recap.models.loading import dtype_name


def caption_settings(
    model_digest: str, decoding: Decoding, *, device: torch.device, dtype: torch.dtype, quantization: str, seed: int
) -> dict[str, Any]:
    """The settings, for `recap.runtime.store.Store`.

    Args:
        model_digest: Of the captioner's folder, see `recap.runtime.contents.folder_digest`.
        decoding: How it writes.
        device: Its kind counts: a GPU rounds otherwise than a CPU.
        dtype: Of the weights.
        quantization: `caption.quantization`.
        seed: Of sampling; it counts where something samples.
    """
    settings = {
        "engine": ENGINE_VERSION,
        "model": model_digest,
        "device": device.type,
        "dtype": dtype_name(dtype),
        "quantization": quantization,
        **decoding.settings(),
    }
    if decoding.samples:
        settings["seed"] = seed
    if decoding.language is not None:
        # A candidate is kept with its judgement, which another machine may not be able to make.
        settings["languages_told_by"] = languages_told_by()
    return settings

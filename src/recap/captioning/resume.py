"""What a journal of captions belongs to: everything that shapes a caption except the image itself.

Images are not part of it, each journaled caption carries its image's digest instead: mending one picture of a
hundred thousand must not throw the others' captions away. Nor is the batch size, so that a run that ran out of
memory can go on with a smaller one.
"""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

import recap.data.corpus
import recap.runtime.seeding
from recap.captioning.blip2 import Decoding
from recap.runtime.scratch import fingerprint


def resume_key(model: Path, decoding: Decoding, *, seed: int, device: torch.device, dtype: torch.dtype) -> str:
    """The name of the scratch folder for captions by one captioner.

    Args:
        model: The captioner's folder; its files count (see `recap.runtime.scratch.fingerprint`).
        decoding: How it writes.
        seed: Of sampling; it counts when sampling.
        device: Its kind counts: a GPU rounds otherwise than a CPU.
        dtype: Of the weights.
    """
    params = {
        **asdict(decoding),
        "seed": seed if decoding.do_sample else None,
        "device": device.type,
        "dtype": str(dtype),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
    code = [Path(__file__).parent, *map(Path, recap.data.corpus.__path__), Path(recap.runtime.seeding.__file__)]
    return fingerprint(inputs=[model], params=params, code=code)

"""The seeding contract: every use of chance has a seed of its own, derived by name from one in params.yaml.

A derived seed depends only on that seed and on what it is for (for example a sample's id), never on
batch size, order, number of workers, or how often a run was interrupted.
"""

import hashlib
import random


def derive_seed(seed: int, *key: object) -> int:
    """A seed in [0, 2**63) for one named purpose: `derive_seed(42, "caption", sample_id)`.

    Args:
        seed: `seed`, `caption.seed` or `quality.seed` of params.yaml, or a world's.
        key: What the seed is for; every part is turned into text.
    """
    text = "\x1f".join([str(seed), *map(str, key)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch. Call it before any new module is created."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 - libraries below draw from the global generator
    torch.manual_seed(seed)

"""What a run of another size would push: what scales with what.

Pictures lie in shards, each with its row as JSON beside it, and have a row in the index; captions and processed rows
are text by the row; trained weights are float32, the merged model is in `device.dtype` (auto: as on a GPU). Benchmarks,
answers and scores are as large as the benchmarks' own files make them, and are left out, as are pages and plots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from recap.runtime.errors import UserError

if TYPE_CHECKING:
    from recap.experiments.sharing.sizes import Size
    from recap.rehearsal.profile import Profile

GB = 10**9
# Of a row beside its picture: two headers of a tar, 512 bytes each, two contents rounded up to 512, of which the row's
# JSON is one; and its part of the index.
ROW_BYTES = 2048
TRAINED_BYTES = 4
# Outputs that are text by the row.
TEXT = ("data/candidates.jsonl", "data/captions.jsonl", "data/raw_captions.jsonl", "data/processed/", "data/pretrain_")


@dataclass(frozen=True)
class Part:
    """An output, or several that scale alike.

    Attributes:
        name: Of it.
        formula: How its bytes come about.
        files: In the remote.
        bytes: Of them.
    """

    name: str
    formula: str
    files: int
    bytes: float


def estimate_run(
    sizes: "Sequence[Size]",
    sizes_rows: int,
    params_path: Path,
    *,
    rows: int,
    finetune_rows: int,
    picture_bytes: float,
) -> list[Part]:
    """The parts of one recipe's run.

    Args:
        sizes: Of a run that ended: text is taken to be as long in the other one.
        sizes_rows: Rows of its corpus.
        params_path: Whose models are trained, and which says whether pictures are copied.
        rows: Pairs of the corpus.
        finetune_rows: Conversations, each with a picture of its own.
        picture_bytes: Of a picture.

    Raises:
        UserError: No run has ended here, or the sizes of a model are not known.
    """
    from recap.rehearsal.profile import Profile

    text = [size for size in sizes if size.path.startswith(TEXT)]
    if not text:
        raise UserError("dvc.lock: expected a run that ended, to know a row's bytes from, found none; make")
    text_bytes = sum(size.bytes for size in text) / sizes_rows
    profile = Profile.read(params_path)
    if profile.params.data.images == "reference":
        picture_bytes = 0.0
    files = {size.path: size.objects for size in sizes}
    weights = [
        Part(path, f"{count:,} x {width}", files.get(path, 0), count * width)
        for path, (count, width) in _weights(profile).items()
    ]
    return [
        _pictures("data/corpus", rows, picture_bytes),
        _pictures("data/finetune", finetune_rows, picture_bytes),
        Part("text by the row", f"{rows:,} x {text_bytes:.0f}", sum(size.objects for size in text), rows * text_bytes),
        *weights,
    ]


def estimate_table(parts: Sequence[Part]) -> str:
    """A line per part, and one for all."""
    lines = [f"{'output':<18} {'bytes':<36} {'files':>6} {'GB':>9}"]
    whole = Part("together", "", sum(part.files for part in parts), sum(part.bytes for part in parts))
    lines += [f"{part.name:<18} {part.formula:<36} {part.files:>6} {part.bytes / GB:>9.2f}" for part in (*parts, whole)]
    lines.append(
        "Another recipe adds its rows and models. Benchmarks, answers, scores, pages and plots are not counted."
    )
    return "\n".join(lines)


def _pictures(name: str, rows: int, picture_bytes: float) -> Part:
    from recap.data.sources.shards import SHARD_BYTES

    size = rows * (picture_bytes + ROW_BYTES)
    # Beside the shards: index, rejected rows or conversations, the folder's list.
    return Part(name, f"{rows:,} x ({picture_bytes:,.0f} + {ROW_BYTES})", ceil(size / SHARD_BYTES) + 3, size)


def _weights(profile: "Profile") -> dict[str, tuple[int, int]]:
    """Numbers of weights and bytes of each, counted on models that have none."""
    from recap.rehearsal.places import Fakes
    from recap.rehearsal.steps import build_for_answering, build_for_training
    from recap.training.trainable import trained

    lora, dtype = profile.params.lora, profile.dtype
    projector, adapter = (
        sum(weight.numel() for _, weight in trained(model))
        for model in (
            build_for_training(profile.mgm, stage, lora, Fakes(), dtype, checkpointing=False)
            for stage in ("pretrain", "finetune")
        )
    )
    merged = sum(weight.numel() for weight in build_for_answering(profile.mgm, Fakes(), dtype).parameters())
    return {
        "models/projector": (projector, TRAINED_BYTES),
        "models/adapter": (adapter, TRAINED_BYTES),
        "models/merged": (merged, dtype.itemsize),
    }

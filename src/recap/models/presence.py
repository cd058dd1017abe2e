"""Whether a pretrained model is there, whole, and knows the data: asked by the first stage for all models.

Only names, sizes and headers are looked at, so this takes no time and imports nothing heavy. The stages that load a
model ask again whether it is there.
"""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recap.io import read_object
from recap.runtime.errors import UserError, hint_on_copies

# The models that come with the project; they have seen nothing but the embedded street world.
BUNDLED = Path("models/tiny")


def require_model(path: str | Path, what: str) -> Path:
    """The folder of a pretrained model.

    Args:
        path: The folder; it has to hold a `config.json` (OpenCLIP's: `open_clip_config.json`), or the original's
            `mm_projector.bin`, which `models.start` may be alone.
        what: What the model is to the reader of an error: "captioner", "language model", ...

    Raises:
        UserError: It is not there; the message names the command that brings it.
    """
    folder = Path(path)
    if not any((folder / name).is_file() for name in ("config.json", "open_clip_config.json", ORIGINAL_NAME)):
        missing = f"{folder}: expected the {what} (a folder with a config.json), found none; run `make models`"
        raise UserError(missing + hint_on_copies())
    return folder


def is_aligner(folder: Path) -> bool:
    """Whether `models.aligner` is a model; the marker configs/aligner/none stands for none."""
    return read_object(folder / "config.json").get("aligner") != "none"


def only_tests_wiring(models: Iterable[str | Path], *, source_is_world: bool) -> bool:
    """Whether a run can show no more than that its stages work: own data, and a model that comes with the project.

    Args:
        models: Folders of the run's models, from the project's root as `BUNDLED` is.
        source_is_world: Whether the corpus is of an embedded world, which the bundled models do know.
    """
    bundled = BUNDLED.resolve()
    return not source_is_world and any(Path(model).resolve().is_relative_to(bundled) for model in models)


# Where weights lie, safetensors first, as loaders prefer them: (index of shards, names of a single file).
LAYOUTS = (
    ("model.safetensors.index.json", ("model.safetensors", "open_clip_model.safetensors")),
    ("pytorch_model.bin.index.json", ("pytorch_model.bin", "open_clip_pytorch_model.bin")),
)
# Connectors alone: as Recap saves them, and as the original's first stage does.
WEIGHTS_NAME = "projector.safetensors"
ORIGINAL_NAME = "mm_projector.bin"
CONNECTORS_ALONE = (WEIGHTS_NAME, ORIGINAL_NAME)
# Any of these sets of files is a tokenizer.
TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("spiece.model",), ("vocab.json", "merges.txt"))

LONGEST_NAME = 255  # of a file, in bytes

AGAIN = "fetch it again (`make models` for a hub model)"


def require_whole(folder: Path, what: str, *, tokenizer: bool = False) -> None:
    """Check that a model's files are all there and whole.

    Args:
        folder: As `require_model` gives it.
        what: What the model is to the reader of an error.
        tokenizer: Whether it has to bring a tokenizer, which must fit its vocabulary.

    Raises:
        UserError: Weights or a shard are missing, cut off, or a pointer of Git LFS; no tokenizer, or another model's.
    """
    files = stored_files(folder) or [path for name in CONNECTORS_ALONE if (path := folder / name).is_file()][:1]
    if not files:
        names = ", ".join(name for _, singles in LAYOUTS for name in singles[:1])
        raise UserError(f"{folder}: expected the weights of the {what} ({names} or shards), found none; {AGAIN}")
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: expected a shard of the {what}, which its index names, found none; {AGAIN}")
        _require_whole_file(file)
    if tokenizer:
        _require_tokenizer(folder, what)


def shard_index(folder: Path) -> Path | None:
    """The file that says which tensor is in which shard, if there is one."""
    return next((path for index, _ in LAYOUTS if (path := folder / index).is_file()), None)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a model's weights, of whichever layout."""
    return any((folder / name).is_file() for index, singles in LAYOUTS for name in (index, *singles))


def stored_files(folder: Path) -> list[Path]:
    """The files that a folder's tensors are in, whether they are there or only promised; none without weights.

    Raises:
        UserError: The index of the shards is none.
    """
    for index, singles in LAYOUTS:
        if (folder / index).is_file():
            return [folder / shard for shard in sorted(set(_weight_map(folder / index).values()))]
        for name in singles:
            if (folder / name).is_file():
                return [folder / name]
    return []


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor -> file, as an index has it."""
    places = read_object(index).get("weight_map")
    # A file of the folder itself: an index from elsewhere could name any.
    if not isinstance(places, dict) or not all(_is_file_name(place) for place in places.values()):
        raise UserError(f"{index}: expected a weight_map from tensors to shards, found none; {AGAIN}")
    return places


def _is_file_name(place: object) -> bool:
    if not isinstance(place, str) or Path(place).name != place:
        return False
    return place.isprintable() and len(place.encode()) <= LONGEST_NAME


def _require_whole_file(file: Path) -> None:
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{file}: expected weights, found a pointer of Git LFS; run `git lfs pull` where it came from")
    if file.suffix == ".safetensors":
        expected = _safetensors_size(file)
        if expected != size:
            found = "no safetensors" if expected is None else f"{size} bytes where its header says {expected}"
            raise UserError(f"{file}: expected whole weights, found {found}; {AGAIN}")
    elif head[:2] == b"PK" and not zipfile.is_zipfile(file):
        raise UserError(f"{file}: expected whole weights, found a file that is cut off; {AGAIN}")
    elif head[:2] not in (b"PK", b"\x80\x02"):  # a zip, or a pickle of older PyTorch
        raise UserError(f"{file}: expected PyTorch weights, found {size} bytes that are none; {AGAIN}")


def _safetensors_size(file: Path) -> int | None:
    """How long a safetensors file has to be, by its header (8 bytes with its length, JSON, then tensors)."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = json.loads(stream.read(min(length, 100_000_000)))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
            return 8 + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None


def _require_tokenizer(folder: Path, what: str) -> None:
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        names = ", ".join(" with ".join(names) for names in TOKENIZERS)
        raise UserError(f"{folder}: expected the tokenizer of the {what} ({names}), found none; {AGAIN}")
    if not (folder / "tokenizer.json").is_file():
        return
    config = read_object(folder / "config.json")
    text_config = config.get("text_config")
    rows = config.get("vocab_size") or (text_config.get("vocab_size") if isinstance(text_config, dict) else None)
    largest = _largest_token(read_object(folder / "tokenizer.json"))
    if isinstance(rows, int) and largest is not None and largest >= rows:
        raise UserError(
            f"{folder}: expected the tokenizer of the {what}, whose config.json has a vocabulary of {rows}, found one "
            f"with token {largest}: it is another model's; {AGAIN}"
        )


def _largest_token(tokenizer: dict[str, Any]) -> int | None:
    """The largest id of a fast tokenizer; None where the file says nothing that is understood."""
    try:
        vocabulary = tokenizer["model"]["vocab"]
        ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        found = [*ids, *(token["id"] for token in tokenizer.get("added_tokens") or ())]
        return max((token for token in found if isinstance(token, int)), default=None)
    except (LookupError, TypeError):
        return None

"""`make models`: bring the models that params.yaml names by a hub id; the only thing in Recap that downloads.

In: params.models. Out: each model's files under its `path`, at the pinned revision, and a `snapshot.json` that
is written last, when the model is complete. An interrupted download goes on where it stopped.

    python -m recap.models.hub --params params.yaml [--check]
"""

import argparse
import logging
import os
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import list_repo_files, snapshot_download
from huggingface_hub.errors import GatedRepoError

from recap.io import read_json, write_json
from recap.models.presence import require_model
from recap.params import PARAMS_PATH, ModelSource, load_params
from recap.runtime.errors import UserError, one_line
from recap.runtime.stage import run

MARKER = "snapshot.json"
CONFIGURATION_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
WEIGHT_FILES = ("*.safetensors", "*.bin")  # in order of preference: a repository often holds both

log = logging.getLogger(__name__)


def is_complete(source: ModelSource) -> bool:
    """Whether a model lies under its path in full, at the right revision.

    A folder that the hub client never touched is the user's own copy and counts as complete.
    """
    folder = Path(source.path)
    if (folder / MARKER).is_file():
        marker = read_json(folder / MARKER)
        right = marker["hub"] == source.hub and marker["revision"] == source.revision
        return right and all(_size(folder / name) == size for name, size in marker["files"].items())
    downloading = (folder / ".cache" / "huggingface").is_dir()
    return not downloading and any((folder / name).is_file() for name in ("config.json", "open_clip_config.json"))


def check(name: str, source: ModelSource) -> None:
    """Make sure that a model is there.

    Raises:
        UserError: It is not, or not completely; the line names `make models`.
    """
    if source.hub is None:
        require_model(source.path, name)
    elif not is_complete(source):
        raise UserError(
            f"models.{name}: expected {source.hub} at {source.revision} in {source.path}, found no complete copy; "
            "run `make models`"
        )


def fetch(name: str, source: ModelSource) -> None:
    """Download one model unless it is there; a model without a hub id only has to be there.

    Raises:
        UserError: The hub refuses or cannot be reached.
    """
    if source.hub is None or is_complete(source):
        check(name, source)
        log.info("%s: %s is there", name, source.path)
        return
    try:
        files = list_repo_files(source.hub, revision=source.revision)
        patterns = [*CONFIGURATION_FILES, _weight_pattern(source, files)]
        folder = Path(
            snapshot_download(
                source.hub,
                revision=source.revision,
                local_dir=source.path,
                allow_patterns=patterns,
                ignore_patterns=["*/*"],
            )
        )
    except GatedRepoError:
        raise UserError(
            f"models.{name}: {source.hub} is gated; accept its licence at https://huggingface.co/{source.hub}, "
            "then `hf auth login`"
        ) from None
    except (OSError, httpx.HTTPError) as error:
        raise UserError(f"models.{name}: cannot fetch {source.hub}: {one_line(error, 300)}") from None
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    sizes.pop(MARKER, None)
    write_json(folder / MARKER, {"hub": source.hub, "revision": source.revision, "files": sizes})
    log.info("%s: %s at %s, %.2f GB in %s", name, source.hub, source.revision, sum(sizes.values()) / 1e9, folder)


def _weight_pattern(source: ModelSource, files: list[str]) -> str:
    for pattern in WEIGHT_FILES:
        if any(file.endswith(pattern[1:]) for file in files if "/" not in file):
            return pattern
    raise UserError(f"{source.hub} at {source.revision}: expected {' or '.join(WEIGHT_FILES)}, found neither")


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.models.hub", description="Bring the models of params.yaml.")
    parser.add_argument("--params", type=Path, default=PARAMS_PATH, help="parameter file")
    parser.add_argument("--check", action="store_true", help="download nothing; fail if a model is missing")
    args = parser.parse_args()
    models: Any = load_params("models", args.params)
    for name in type(models).model_fields:
        (check if args.check else fetch)(name, getattr(models, name))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "0")  # `run` would set 1, as it does for every stage
    run(main)

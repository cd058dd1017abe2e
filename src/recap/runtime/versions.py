"""What a run is made of besides its parameters and its data: the repository's code, and versions of libraries."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

CODE = ("src", "stages", "recipes", "configs", "dvc.yaml", "requirements.txt")
# Libraries whose version can move a number.
LIBRARIES = (
    *("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "deepspeed", "py-data-juicer"),
    *("lexicalrichness", "sacrebleu", "numpy", "pillow", "dvc", "dvclive"),
)


def versions() -> dict[str, str]:
    """Versions of Python and of every library of `LIBRARIES` that is installed."""
    return {"python": platform.python_version(), **library_versions(LIBRARIES)}


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Version by library; one that is not installed is left out."""
    found = {}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found

"""What a run is made of besides its parameters and its data: the repository's code, and versions of libraries."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

CODE = ("src", "stages", "recipes", "configs", "dvc.yaml", "requirements.txt")


def library_versions(libraries: Iterable[str]) -> dict[str, str]:
    """Version by library; one that is not installed is left out."""
    found = {}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found

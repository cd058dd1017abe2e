"""A model's folder may bring Python code of its own: it runs where `device.trust_remote_code` says so, else not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recap.runtime.errors import UserError, one_line

WAY_TO_TRUST = "set device.trust_remote_code to true if you have read it and trust it"
# Of a whole MGM, all of whose classes are here.
WITHOUT_OWN_CODE = "an MGM needs none: take auto_map out of its JSON files"


@contextmanager
def own_code_explained(folder: Path, what: str, *, way: str = WAY_TO_TRUST) -> Iterator[None]:
    """Say in one line what a loader of transformers refuses when it may not trust a folder.

    Args:
        folder: Of the model.
        what: What it is to the reader of an error: "captioner".
        way: How to allow it, or what to do instead.

    Raises:
        UserError: The model cannot be loaded without running the folder's own code.
    """
    try:
        yield
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"{folder}: expected a {what} that transformers itself can load, found one with Python code of its own, "
            f"which was not run ({one_line(error, 160)}); {way}"
        ) from None

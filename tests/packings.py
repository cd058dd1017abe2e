"""What tests of packed pictures share: an interruption at a chosen row, and what lies in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recap.data.sources.packing import Packing


@contextmanager
def interrupted(after: int) -> Iterator[None]:
    """The process ends, as far as a test can see, when so many rows are taken in."""
    add = Packing.add

    def counted(self: Packing, *args: Any) -> None:
        if self.rows_read == after:
            raise KeyboardInterrupt
        add(self, *args)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Packing, "add", counted)
        yield


def files(folder: Path) -> dict[str, bytes]:
    """The files directly in a folder, by name."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}

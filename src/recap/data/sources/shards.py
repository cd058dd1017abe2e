"""Write a shard of a corpus: a tar that WebDataset's readers take, the same bytes whenever the samples are the same.

A sample is `<key>.<suffix>`, its picture, and `<key>.json`, its row. Where an earlier sample has the same picture the
row stands alone: the index knows where the picture lies.
"""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

# Few enough for a million pictures, small enough that a corpus which has grown at its end is not pushed anew.
SHARD_BYTES = 256 * 10**6


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.tar"


class ShardWriter:
    """A tar that grows by a sample at a time. Without owner and date, which would be those of a run.

    Args:
        path: The tar; what is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed by `close`

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._tar.offset

    def add_picture(self, key: str, suffix: str, content: bytes) -> int:
        """Append a picture, `suffix` with its dot; returns how many bytes into the shard it begins."""
        return self._add(f"{key}{suffix}", content)

    def add_row(self, key: str, row: dict[str, Any]) -> None:
        self._add(f"{key}.json", json.dumps(row, ensure_ascii=False, sort_keys=True).encode())

    def close(self) -> None:
        self._tar.close()

    def _add(self, name: str, content: bytes) -> int:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o644
        begins = self._tar.offset + tarfile.BLOCKSIZE
        self._tar.addfile(member, io.BytesIO(content))
        return begins

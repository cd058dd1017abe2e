"""A corpus's table as its index gives it, made without any picture."""

from collections.abc import Callable, Sequence

import pandas
import pytest


@pytest.fixture
def make_table() -> Callable[..., pandas.DataFrame]:
    """A table with one row per caption; every picture is different, grey, square and large enough unless said."""

    def make(captions: Sequence[str], **columns: Sequence) -> pandas.DataFrame:
        count = len(captions)
        names = [f"{number:04d}.jpg" for number in range(count)]
        table = pandas.DataFrame(
            {
                "id": [f"row-{number}" for number in range(count)],
                "image": names,
                "caption": list(captions),
                "digest": names,
                "width": 300,
                "height": 300,
                "format": "JPEG",
                "mode": "RGB",
                "brightness": 120.0,
                # Half of the bits set, any two far apart: nibbles of a multiplicative hash and their complements.
                "phash": [_balanced(number) for number in range(count)],
            }
        )
        return table.assign(**columns)

    return make


def _balanced(number: int) -> str:
    half = (number + 1) * 0x9E3779B1 % 2**32
    return f"{half:08x}{half ^ 0xFFFFFFFF:08x}"

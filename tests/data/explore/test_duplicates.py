"""Pictures that are alike, found among many that are not; hashes whose distances are worked out by hand."""

import random
from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy
import pandas
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recap.data.corpus.facts import picture_facts
from recap.data.corpus.index import digest_of
from recap.data.explore.duplicates import MAX_DISTANCE, close_pairs, copies, is_plain, picture_groups, to_hashes


def test_hashes_are_numbers() -> None:
    assert list(to_hashes(pandas.Series(["00000000000000ff", "8000000000000000"]))) == [255, 2**63]


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=8), st.integers(0, 2**32))
def test_close_hashes_are_found_and_others_are_not(base: int, flipped: set[int], seed: int) -> None:
    other = base ^ sum(1 << bit for bit in flipped)
    noise = random.Random(seed)
    crowd = [noise.getrandbits(64) for _ in range(50)]
    hashes = numpy.unique(numpy.array([base, other, *crowd], dtype=numpy.uint64))
    pairs = {frozenset((int(hashes[i]), int(hashes[j]))) for i, j in zip(*close_pairs(hashes), strict=True)}
    truth = {
        frozenset((int(a), int(b))) for a, b in combinations(hashes, 2) if (int(a) ^ int(b)).bit_count() <= MAX_DISTANCE
    }
    assert pairs == truth


def test_no_hashes() -> None:
    for count in (0, 1):
        first, second = close_pairs(numpy.zeros(count, dtype=numpy.uint64))
        assert len(first) == len(second) == 0


def test_groups(make_table: Callable[..., pandas.DataFrame]) -> None:
    table = make_table(
        ["caption"] * 7,
        phash=[
            "0f0f0f0f0f0f0f0f",
            "0f0f0f0f0f0f0f3c",  # 4 bits from the first
            "0f0f0f0f0f0f3c3c",  # 4 bits from the second, 8 from the first
            "f0f0f0f0f0f0f0f0",
            "0f0f0f0f0f0f0f0f",  # the first again, though of another shape
            "0f0f0f0f0f0f0f33",  # 4 bits from the first, but darker
            "8000000000000000",  # a plain surface
        ],
        width=[300, 300, 301, 300, 600, 300, 300],
        brightness=[120, 120, 121, 120, 120, 90, 120],
    )
    groups = list(picture_groups(table))
    assert groups[0] == groups[1] == groups[2] == groups[4]
    assert len({groups[0], groups[3], groups[5], groups[6]}) == 4


def test_plain_surfaces_are_the_same_only_as_files(make_table: Callable[..., pandas.DataFrame]) -> None:
    table = make_table(["a"] * 3, phash=["8000000000000000"] * 3, digest=["x", "y", "x"])
    groups = list(picture_groups(table))
    assert groups[0] == groups[2] != groups[1]
    assert list(is_plain(to_hashes(table["phash"]))) == [True] * 3


def test_scaled_and_compressed_photographs_are_alike_and_others_are_not(shared: Path) -> None:
    rows = []
    for file in sorted(shared.glob("photos/**/*.jpg"))[:8]:
        original = Image.open(file).convert("RGB")
        smaller = original.resize((original.width * 2 // 3, original.height * 2 // 3))
        for picture, quality in ((original, 95), (original, 40), (smaller, 75)):
            encoded = BytesIO()
            picture.save(encoded, "JPEG", quality=quality)
            decoded = Image.open(encoded)
            size = {"width": decoded.width, "height": decoded.height, "digest": digest_of(encoded.getvalue())}
            rows.append({**picture_facts(decoded), **size, "photo": file.name})
    table = pandas.DataFrame(rows)
    found = table.assign(group=picture_groups(table)).groupby("photo")["group"].agg(["nunique", "first"])
    assert list(found["nunique"]) == [1] * len(found)
    assert found["first"].is_unique and len(found) > 5


def test_copies() -> None:
    assert dict(copies(pandas.Series(["a", "b", "b", "c", "c", "d", "d", "d"]))) == {1: 1, 2: 2, 3: 1}

"""Batches that fit, on a made-up device: the model takes 1000 bytes, an image 10, and there are `room` bytes."""

from collections.abc import Sequence

import pytest
import torch

from recap.captioning.batching import BEGINNING, MOST, BatchSize
from recap.captioning.candidates import Candidate
from recap.runtime.errors import UserError

MODEL, IMAGE = 1000, 10


class Device:
    """Memory and captioner at once. `others` is what another process takes in the meantime."""

    def __init__(self, room: int, *, limit: int | None = None) -> None:
        self.room = room
        self.stated = limit or room
        self.others = 0
        self.batches: list[int] = []
        self.failed: list[int] = []
        self._peak = 0

    def begin(self) -> int:
        self._peak = MODEL
        return MODEL

    def peak(self) -> int:
        return self._peak

    def limit(self) -> int:
        return self.stated - self.others

    def clear(self) -> None:
        pass

    def generate(self, inputs: Sequence[int], seeds: Sequence[int]) -> list[list[Candidate]]:
        assert len(inputs) == len(seeds)
        needed = MODEL + IMAGE * len(inputs)
        if needed > self.room - self.others:
            self.failed.append(len(inputs))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        self._peak = needed
        self.batches.append(len(inputs))
        return [[Candidate(f"{number} {seed}")] for number, seed in zip(inputs, seeds, strict=True)]


def captioned(size: BatchSize, device: Device, images: int) -> list[str]:
    """Images in batches as the loop cuts them."""
    captions, start = [], 0
    while start < images:
        numbers = range(start, min(start + size.now, images))
        captions += size.generate(device.generate, numbers, [2 * number for number in numbers])
        start += len(numbers)
    return [candidates[0].caption for candidates in captions]


def expected(images: int) -> list[str]:
    return [f"{number} {2 * number}" for number in range(images)]


def test_auto_doubles_until_the_next_batch_would_not_fit() -> None:
    device = Device(room=MODEL + 100 * IMAGE)
    size = BatchSize("auto", device)
    assert captioned(size, device, 500) == expected(500)
    assert device.batches[:4] == [BEGINNING, 32, 64, 100]
    assert set(device.batches[4:-1]) == {100} and device.failed == []


def test_auto_ends_at_the_most_that_is_of_use() -> None:
    device = Device(room=10**9)
    size = BatchSize("auto", device)
    assert captioned(size, device, 5000) == expected(5000)
    assert size.now == max(device.batches) == MOST


def test_auto_steps_down_where_memory_is_less_than_it_seems() -> None:
    device = Device(room=MODEL + 50 * IMAGE, limit=MODEL + 1000 * IMAGE)
    size = BatchSize("auto", device)
    assert captioned(size, device, 300) == expected(300)
    assert device.failed == [64] and size.now == 32  # and it does not try again


def test_another_process_that_takes_memory_costs_no_row() -> None:
    device = Device(room=MODEL + 100 * IMAGE)
    size = BatchSize(64, device)
    before = captioned(size, device, 64)
    device.others = 90 * IMAGE
    after = captioned(size, device, 64)
    assert before == after == expected(64)
    assert device.failed == [64, 32, 16] and size.now == 8


@pytest.mark.parametrize("size", [7, 64])
def test_a_number_stays_while_it_fits(size: int) -> None:
    device = Device(room=10**9)
    batches = BatchSize(size, device)
    assert captioned(batches, device, 200) == expected(200)
    assert batches.now == size == max(device.batches)


def test_without_a_device_to_ask_auto_is_fixed() -> None:
    device = Device(room=10**9)
    size = BatchSize("auto", None)
    assert captioned(size, device, 100) == expected(100)
    assert set(device.batches[:-1]) == {BEGINNING}


def test_an_image_that_does_not_fit_alone_is_one_line() -> None:
    device = Device(room=MODEL)
    with pytest.raises(UserError, match="expected memory for one image at a time, found too little; set") as error:
        BatchSize(2, device).generate(device.generate, [1, 2], [1, 2])
    assert "\n" not in str(error.value)
    assert device.failed == [2, 1]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        MemoryError(),
    ],
)
def test_a_cpu_runs_out_of_memory_too(error: Exception) -> None:
    sizes = []

    def generate(inputs: Sequence[int], seeds: Sequence[int]) -> list[list[Candidate]]:
        sizes.append(len(inputs))
        if len(inputs) > 1:
            raise error
        return [[Candidate("a")]]

    assert len(BatchSize(2, None).generate(generate, [1, 2], [1, 2])) == 2
    assert sizes == [2, 1, 1]


def test_any_other_error_is_no_lack_of_memory() -> None:
    def generate(inputs: Sequence[int], seeds: Sequence[int]) -> list[list[Candidate]]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        BatchSize(2, None).generate(generate, [1, 2], [1, 2])

"""Whatever stands in a file, who reads it ends soon: with its rows, each read or reported, or with one line.

By default each reader gets a handful of inputs, the same every time. `RECAP_FUZZ=100000` shares so many among the
readers, new ones each time, and writes how many each got, with the faults found, to the log (`-rP` shows it). A failure
is shrunk to a small input; `RECAP_FUZZ_READER=NAME` repeats one reader.
"""

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recap.runtime.errors import LONGEST, UserError
from tests.fuzz.guard import Breach, confined
from tests.fuzz.inputs import broken
from tests.fuzz.readers import READERS, Files, Reader

ON_DEMAND = int(os.environ.get("RECAP_FUZZ", "0"))
EACH = max(1, ON_DEMAND // len(READERS)) if ON_DEMAND else 20


class Bench:
    """Puts inputs into folders of their own, and reads them under guard."""

    def __init__(self, reader: Reader, place: Path) -> None:
        self.reader, self.place = reader, place
        self.outcomes: Counter[str] = Counter()
        self._number = 0
        sound = self.folder()
        reader.sound(sound)
        self.sound: Files = {
            path.relative_to(sound).as_posix(): path.read_bytes() for path in sorted(sound.rglob("*")) if path.is_file()
        }

    def folder(self) -> Path:
        """An empty folder of a new name: what readers remember of another is none of its affair."""
        self._number += 1
        folder = self.place / str(self._number) / "input"
        folder.mkdir(parents=True)
        (folder.parent / "output").mkdir()
        return folder

    def read(self, files: Files, name: str | None = None) -> None:
        """Raises: AssertionError, or whatever no reader may raise."""
        folder = self.folder()
        try:
            for path, content in files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            output = folder.parent / "output"
            # SQLite makes its journal beside the store, and the store is what is read.
            places = (output, folder) if self.reader.name == "store" else (output,)
            with confined(*places):
                counts = self.reader.read(folder, output)
            if folder not in places:
                left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
                assert left == files.keys(), "something was written beside the input"
            rows = self.reader.rows_of(files[name]) if name is not None else None
            if counts is not None and rows is not None:
                assert counts.read + counts.reported == rows, f"{counts} of {rows} rows"
            self.outcomes["read"] += 1
        except UserError as error:
            assert "\n" not in str(error) and len(str(error)) <= LONGEST, f"no line for a person: {error!s:.300}"
            self.outcomes["refused"] += 1
        except Breach as breach:
            raise AssertionError(str(breach)) from breach  # which hypothesis makes an input of
        finally:
            assert sorted(path.name for path in folder.parent.iterdir()) in (
                ["input", "output"], ["input", "output", "scratch"],
            )  # fmt: skip
            shutil.rmtree(folder.parent)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """In memory on demand: a hundred thousand folders made and removed cost a disk most of an hour."""
    memory = Path("/dev/shm")
    if not (ON_DEMAND and os.access(memory, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="recap-fuzz-") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows need no pool of processes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_broken_file_ends_in_rows_or_in_a_line(reader: Reader, place: Path) -> None:
    if os.environ.get("RECAP_FUZZ_READER", reader.name) != reader.name:
        pytest.skip("another reader was asked for")
    bench = Bench(reader, place)
    bench.read(bench.sound)
    assert bench.outcomes == {"read": 1}, "a sound input is refused"

    @settings(
        max_examples=EACH, derandomize=not ON_DEMAND, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(reader.breaks)))
        content = data.draw(broken(bench.sound[name], reader.breaks[name]))
        bench.read(bench.sound | {name: content}, name)

    start = time.monotonic()
    try:
        check()
    finally:
        print(f"fuzz: {reader.name}: {dict(bench.outcomes)}, {time.monotonic() - start:.0f} s")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_file_cut_anywhere_ends_in_rows_or_in_a_line(reader: Reader, place: Path) -> None:
    """At every byte on demand, at some by default."""
    if os.environ.get("RECAP_FUZZ_READER", reader.name) != reader.name:
        pytest.skip("another reader was asked for")
    bench = Bench(reader, place)
    start = time.monotonic()
    for name in reader.breaks:
        content = bench.sound[name]
        step = max(1, len(content) // (2_000 if ON_DEMAND else 6))
        for end in range(0, len(content), step):
            bench.read(bench.sound | {name: content[:end]}, name)
    print(f"cut: {reader.name}: {dict(bench.outcomes)}, {time.monotonic() - start:.0f} s")

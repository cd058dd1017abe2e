"""The store, alone and among processes that write, die, and come from the future."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recap.runtime.errors import UserError
from recap.runtime.store import PATIENCE_S, Store, store_path
from recap.runtime.upkeep import inventory, results

SETTINGS = {"prompt": "a photo of", "beams": 1}


def test_what_is_put_is_there_for_the_same_settings_and_kind_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("caption", SETTINGS, {"1": ["a dog"], "2": {"é": None}})
    with Store(tmp_path / "store.sqlite") as store:
        # The order of keys is no setting.
        assert store.get("caption", dict(reversed(SETTINGS.items())), ["2", "3", "1", "1"]) == {
            "1": ["a dog"],
            "2": {"é": None},
        }
        assert store.missing("caption", SETTINGS, ["4", "2", "3", "4"]) == ["4", "3"]
        assert store.get("alignment", SETTINGS, ["1"]) == {}
        assert store.get("caption", SETTINGS | {"beams": 2}, ["1"]) == {}


def test_a_result_that_is_there_stays(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("caption", SETTINGS, {"1": "first"})
        store.put("caption", SETTINGS, {"1": "second", "2": "other"})
        assert store.get("caption", SETTINGS, ["1", "2"]) == {"1": "first", "2": "other"}


def test_more_items_than_one_query_takes(tmp_path: Path) -> None:
    items = {f"{number:032x}": number for number in range(1234)}
    with Store(tmp_path / "store.sqlite") as store:
        store.put("caption", SETTINGS, items)
        assert store.get("caption", SETTINGS, items) == items
        assert store.missing("caption", SETTINGS, [*items, "x"]) == ["x"]


def test_a_failing_transaction_leaves_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.execute("INSERT INTO files VALUES ('a', 1, 1, 1, 'x')")
            raise ZeroDivisionError
        assert store.execute("SELECT * FROM files") == []


def test_what_is_read_is_not_written_to(tmp_path: Path) -> None:
    """Within the hour: a run that finds everything does not stand in the way of one that writes."""
    with Store(tmp_path / "store.sqlite") as store, Store(tmp_path / "store.sqlite") as other:
        store.put("caption", SETTINGS, {"1": "a"})
        with other.transaction():
            assert store.get("caption", SETTINGS, ["1"]) == {"1": "a"}


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, b"S"])
def test_what_is_no_store_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises(UserError, match=r"machine\.store: .*expected a store of captions.*not a database") as error:
        Store(tmp_path / "store.sqlite")
    assert "\n" not in str(error.value)
    assert (tmp_path / "store.sqlite").read_bytes() == content


def test_another_programs_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = (tmp_path / "store.sqlite").read_bytes()
    with pytest.raises(UserError, match="found another program's SQLite file"):
        Store(tmp_path / "store.sqlite")
    assert (tmp_path / "store.sqlite").read_bytes() == before


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.execute("PRAGMA user_version = 2")
    with pytest.raises(UserError, match=r"expected a store of format 1, found format 2, which a newer Recap wrote"):
        Store(tmp_path / "store.sqlite")


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a folder; the store is a file"):
        Store(tmp_path)


def test_a_store_that_is_to_be_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a store of captions, found none"):
        Store(tmp_path / "store.sqlite", new=False)
    assert not (tmp_path / "store.sqlite").exists()


def test_a_read_only_store_is_one_line(tmp_path: Path, unprivileged: None) -> None:
    from tests.unprivileged import obey_file_modes

    with Store(tmp_path / "store.sqlite"):
        pass
    (tmp_path / "store.sqlite").chmod(0o444)
    script = "from recap.runtime.stage import run; from recap.runtime.store import Store; from pathlib import Path\n"
    script += "run(lambda: Store(Path('store.sqlite')).put('caption', {}, {'1': 2}))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, preexec_fn=obey_file_modes, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: machine.store: store.sqlite: expected a store of captions that can be read")
    assert "readonly" in done.stderr and done.stderr.count("\n") == 1


def test_it_waits_for_another_writer_so_long_and_no_longer(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as holder, Store(tmp_path / "store.sqlite", patience=0.2) as waiting:
        start = time.monotonic()
        with (
            holder.transaction(),
            pytest.raises(UserError, match=r"database is locked; another process has been writing to it for 0\.2 sec"),
        ):
            waiting.put("caption", SETTINGS, {"1": "a"})
        assert 0.1 < time.monotonic() - start < 5
        waiting.put("caption", SETTINGS, {"1": "a"})
    assert PATIENCE_S == 60


@pytest.mark.parametrize(("folder", "file"), [(0o775, 0o664), (0o2775, 0o664), (0o700, 0o600), (0o755, 0o644)])
def test_who_may_write_to_the_folder_may_write_to_the_store(tmp_path: Path, folder: int, file: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(folder)
    before = os.umask(0o077)
    try:
        with Store(shared / "recap-store" / "store.sqlite"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((shared / "recap-store").stat().st_mode) & 0o777 == folder & 0o777
    assert stat.S_IMODE((shared / "recap-store" / "store.sqlite").stat().st_mode) == file


def test_a_damaged_result_is_not_handed_out(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("caption", SETTINGS, {"1": "a red bus", "2": "a cat"})
        store.execute("UPDATE results SET value = '\"a bed bus\"' WHERE item = '1'")
        assert store.get("caption", SETTINGS, ["2"]) == {"2": "a cat"}
        with pytest.raises(UserError, match="the caption of 1 as it was written, found it damaged"):
            store.get("caption", SETTINGS, ["1"])


WRITER = """
import sys
from pathlib import Path
from recap.runtime.store import Store
name, count = sys.argv[1], int(sys.argv[2])
with Store(Path("store.sqlite")) as store:
    print("open", flush=True)
    for batch in range(count):
        # Ten items of one batch, with a value that tells whose they are; every second batch is the other writer's too.
        owner = "both" if batch % 2 else name
        store.put("caption", {}, {f"{owner}-{batch}-{item}": "x" * 5000 for item in range(10)})
        print(batch, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, name, str(count)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def items(folder: Path) -> set[str]:
    with Store(folder / "store.sqlite") as store:
        assert store.execute("PRAGMA integrity_check") == [("ok",)]
        return {item for (item,) in store.execute("SELECT item FROM results")}


def test_two_processes_make_and_fill_one_store(tmp_path: Path) -> None:
    writers = [writer(tmp_path, name, 30) for name in ("a", "b")]
    for process in writers:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    owners = [(batch, owner) for batch in range(30) for owner in (("both",) if batch % 2 else ("a", "b"))]
    assert items(tmp_path) == {f"{owner}-{batch}-{item}" for batch, owner in owners for item in range(10)}


@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_put_leaves_whole_batches_and_a_sound_file(tmp_path: Path) -> None:
    """Again and again, beside another process that goes on writing; what was said to be on disk is there."""
    steady = writer(tmp_path, "steady", 400)
    for attempt in range(12):
        with writer(tmp_path, f"k{attempt}", 10_000) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            time.sleep(0.02 + 0.013 * attempt)
            process.send_signal(signal.SIGKILL)
            # Not by communicate(), which would miss what readline() has taken into its buffer.
            said = process.stdout.read()
        done = [int(line) for line in said.split("\n")[:-1]]
        found = items(tmp_path)
        mine = {item for item in found if item.startswith(f"k{attempt}-")}
        batches = {int(item.split("-")[1]) for item in mine}
        assert len(mine) == 10 * len(batches)
        # At most the batch in flight is there without having been told.
        assert {batch for batch in done if batch % 2 == 0} <= batches
        assert len(batches - set(done)) <= 1
    steady.send_signal(signal.SIGKILL)
    steady.communicate()
    items(tmp_path)


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def test_auto_is_beside_dvcs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path / "repo")
    (root / "below").mkdir()
    monkeypatch.chdir(root / "below")
    assert store_path("auto") == root / ".dvc" / "recap-store" / "store.sqlite"
    # DVC takes a relative path from the folder of its configuration.
    (root / ".dvc" / "config").write_text("[cache]\n    dir = ../../shared/cache\n")
    assert store_path("auto") == tmp_path / "shared" / "recap-store" / "store.sqlite"
    (root / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {tmp_path}/mine/cache\n")
    assert store_path("auto") == tmp_path / "mine" / "recap-store" / "store.sqlite"
    (root / ".dvc" / "config.local").write_text("[cache\n")
    with pytest.raises(UserError, match="auto: expected DVC's configuration"):
        store_path("auto")


def test_without_dvc_it_is_scratch_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO"):
        assert store_path("auto") == Path(".scratch/recap-store/store.sqlite")
    assert "no DVC repository here" in caplog.text


def test_a_named_store_is_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert store_path("/data/captions.sqlite") == Path("/data/captions.sqlite")
    assert store_path("~/captions.sqlite") == Path("/home/somebody/captions.sqlite")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE settings SET description = '{'", "expected the settings "),
        ("UPDATE settings SET used = 'long ago'", "expected the settings "),
        ("UPDATE results SET item = CAST(item AS BLOB)", "expected each item of "),
    ],
)
def test_a_damaged_file_is_one_line_to_who_looks_after_it(tmp_path: Path, damage: str, named: str) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("caption", {"seed": 1}, {"a": ["words"], "b": ["more"]})
        store.execute(damage)
        with pytest.raises(UserError, match=rf"{named}.* found the file damaged; put a copy in its place"):
            for held in inventory(store):
                list(results(store, held))


def test_a_value_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        store.put("caption", {"seed": 1}, {"a": ["words"]})
        store.execute("UPDATE results SET value = CAST(7 AS BLOB)")
        (held,) = inventory(store)
        assert [result.is_damaged for result in results(store, held)] == [True]
        with pytest.raises(UserError, match="expected the caption of a as it was written, found it damaged"):
            store.get("caption", {"seed": 1}, ["a"])

"""`python -m recap.captioning.store`, in this process: what it prints, writes, drops and finds."""

import csv
import json
import runpy
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from recap.captioning import store as command
from recap.io import read_jsonl
from recap.runtime.errors import UserError
from recap.runtime.store import Store, digest_of_settings
from tests.hostile_text import ALL, FORMULA

DAY_S = 86400
GREEDY, SAMPLED = {"model": "m", "num_beams": 1}, {"model": "m", "num_beams": 1, "seed": 4}
CAPTIONS = {
    "01": [{"caption": 'a "red" bus', "prompt": "", "truncated": False, "junk": None}],
    "02": [
        {"caption": "ein Café", "prompt": "a", "truncated": False, "junk": "language"},
        {"caption": "a cat", "prompt": "a", "truncated": True, "junk": None},
    ],
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Captions under two settings, the sampled ones last used 100 days ago, and alignment."""
    path = tmp_path / "store.sqlite"
    with Store(path) as opened:
        opened.put("caption", SAMPLED, {"01": CAPTIONS["01"]})
        opened.put("caption", GREEDY, CAPTIONS)
        opened.put("alignment", {"aligner": "c"}, {"01x": 0.25})
        opened.execute(
            "UPDATE settings SET used = ? WHERE digest = ?",
            (time.time() - 100 * DAY_S, digest_of_settings("caption", SAMPLED)),
        )
    return path


def call(monkeypatch: pytest.MonkeyPatch, store: Path, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["store", "--store", str(store), *words])
    command.main()


def left(store: Path) -> list[tuple[str, int]]:
    with Store(store) as opened:
        return opened.execute(
            "SELECT s.kind, count(*) FROM settings s JOIN results r ON r.settings = s.id GROUP BY s.id ORDER BY s.id"
        )


def test_list_tells_settings_counts_sizes_and_dates(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, store, "list")
    said = capsys.readouterr().out
    assert said.startswith(f"{store}: 3 settings, 4 results, 0.0 MiB\n")
    assert f"{digest_of_settings('caption', GREEDY)[:12]} caption: 2 results, 0.0 MiB, used 20" in said
    assert '{"model": "m", "num_beams": 1, "seed": 4}' in said.splitlines()[-1]


def test_export_writes_every_result_of_a_kind(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(monkeypatch, store, "export", "--kind", "caption", "--output", str(tmp_path / "captions.jsonl"))
    rows = list(read_jsonl(tmp_path / "captions.jsonl"))
    greedy, sampled = (digest_of_settings("caption", settings) for settings in (GREEDY, SAMPLED))
    assert [(row["settings"], row["item"]) for row in rows] == [(greedy, "01"), (greedy, "02"), (sampled, "01")]
    assert rows[1]["value"] == CAPTIONS["02"]


def test_export_as_csv_has_a_line_per_candidate(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_of_settings("caption", GREEDY)
    call(monkeypatch, store, "export", "--settings", digest[:6], "--format", "csv", "--output", str(tmp_path / "c.csv"))
    with (tmp_path / "c.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["item"], row["caption"], row["junk"]) for row in rows] == [
        ("01", 'a "red" bus', ""),
        ("02", "ein Café", "language"),
        ("02", "a cat", ""),
    ]
    assert {row["settings"] for row in rows} == {digest}


def test_export_goes_to_the_terminal(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, store, "export", "--kind", "alignment")
    assert json.loads(capsys.readouterr().out)["value"] == 0.25


def test_what_is_not_there_is_one_line(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--kind answers: expected a kind of .*, which has alignment, caption"):
        call(monkeypatch, store, "export", "--kind", "answers")
    with pytest.raises(UserError, match=r"--settings zz: expected the digest .* found 0 that fit"):
        call(monkeypatch, store, "export", "--settings", "zz")
    with pytest.raises(UserError, match="expected a store of captions, found none"):
        call(monkeypatch, tmp_path / "other.sqlite", "list")


@pytest.mark.parametrize(
    ("which", "stays"),
    [
        (["--unused-days", "90"], [("caption", 2), ("alignment", 1)]),
        (["--unused-days", "101"], [("caption", 1), ("caption", 2), ("alignment", 1)]),
        (["--keep-last", "1"], [("caption", 2), ("alignment", 1)]),
        (["--keep-last", "0"], []),
        (["--settings", digest_of_settings("caption", GREEDY)[:8]], [("caption", 1), ("alignment", 1)]),
    ],
)
def test_prune_drops_what_it_is_told(
    store: Path, monkeypatch: pytest.MonkeyPatch, which: list[str], stays: list[tuple[str, int]]
) -> None:
    before = left(store)
    call(monkeypatch, store, "prune", *which, "--dry-run")
    assert left(store) == before
    call(monkeypatch, store, "prune", *which)
    assert left(store) == stays


def test_prune_gives_the_space_back(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(store) as opened:
        opened.put("caption", {"model": "other"}, {f"{number:05d}": "x" * 1000 for number in range(6000)})
    before = store.stat().st_size
    call(monkeypatch, store, "prune", "--settings", digest_of_settings("caption", {"model": "other"}))
    assert store.stat().st_size < before / 50


def test_verify_names_what_is_damaged_and_repair_drops_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, store, "verify")
    assert capsys.readouterr().out == f"{store}: sound\n"
    content = store.read_bytes()
    assert content.count(b"a cat") == 1
    store.write_bytes(content.replace(b"a cat", b"a \xff\xfet"))
    with pytest.raises(UserError, match="expected sound results, found 1 damaged ones"):
        call(monkeypatch, store, "verify")
    digest = digest_of_settings("caption", GREEDY)
    assert capsys.readouterr().out == f"damaged: caption of 02 under {digest[:12]}\n"
    call(monkeypatch, store, "verify", "--repair")
    assert left(store) == [("caption", 1), ("caption", 1), ("alignment", 1)]
    with Store(store) as opened:
        assert opened.missing("caption", GREEDY, ["01", "02"]) == ["02"]
    call(monkeypatch, store, "verify")


def test_verify_sees_a_damaged_file(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(store.read_bytes())
    content[4096:8192] = bytes(4096)
    store.write_bytes(content)
    with pytest.raises(UserError, match=r"malformed|problem\(s\) of the file itself"):
        call(monkeypatch, store, "verify")


def test_everything_works_while_another_process_writes(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(store) as writer, writer.transaction():
        writer.execute("INSERT INTO files VALUES ('a', 1, 1, 1, 'x')")
        call(monkeypatch, store, "list")
        call(monkeypatch, store, "export", "--kind", "caption", "--output", str(tmp_path / "out.jsonl"))
        call(monkeypatch, store, "verify")


def test_the_store_is_the_parameter_files(
    store: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        (root / "params.yaml")
        .read_text()
        .replace("  store: auto ", f"  store: {store} ")
        .replace("  store: auto\n", f"  store: {store}\n")
    )
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["store", "verify"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the module is imported already
        runpy.run_module("recap.captioning.store", run_name="__main__")


def test_help_explains_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["--help"], *([name, "--help"] for name in ("list", "export", "prune", "verify"))):
        monkeypatch.setattr(sys, "argv", ["store", *words])
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert ended.value.code == 0


def test_days_are_no_negative_number(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in ("-5", "nan"):
        with pytest.raises(UserError, match="--unused-days: expected a number from 0 on"):
            call(monkeypatch, store, "prune", f"--unused-days={days}")
    assert len(left(store)) == 3


def test_a_folder_is_no_output_and_no_store(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="found a folder; name a file in it"):
        call(monkeypatch, store, "export", "--kind", "caption", "--output", str(tmp_path))
    assert store.is_file()
    with pytest.raises(UserError, match=r"a folder; the store is a file"):
        Store(tmp_path)


def test_a_reader_that_has_seen_enough_is_no_error(store: Path) -> None:
    with Store(store) as opened:
        opened.put("caption", GREEDY, {f"{number:06}": CAPTIONS["02"] for number in range(2000)})
    command_line = [
        sys.executable,
        "-m",
        "recap.captioning.store",
        "--store",
        str(store),
        "export",
        "--kind",
        "caption",
    ]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, "")


def test_captions_of_others_are_harmless_in_csv_and_exact_in_json(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"model": "hostile"}
    with Store(store) as opened:
        rows = [{"caption": text, "prompt": "", "truncated": False, "junk": None, "itm": -0.5} for text in ALL]
        opened.put("caption", settings, {"01": rows})
    digest = digest_of_settings("caption", settings)
    for kind in ("csv", "jsonl"):
        call(monkeypatch, store, "export", "--settings", digest, "--format", kind, "--output", str(tmp_path / kind))
    with (tmp_path / "csv").open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["caption"] for row in found] == [f"'{FORMULA}" if text == FORMULA else text for text in ALL]
    assert {row["itm"] for row in found} == {"-0.5"}
    [row] = read_jsonl(tmp_path / "jsonl")
    assert [candidate["caption"] for candidate in row["value"]] == list(ALL)

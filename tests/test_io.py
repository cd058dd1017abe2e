"""Files are written whole or not at all, and errors name the line."""

import csv
import json
import stat
from pathlib import Path

import pytest

from recap.io import (
    atomic_path,
    defused,
    read_json,
    read_jsonl,
    refuse_linked_folders,
    write_csv,
    write_json,
    write_jsonl,
    write_metrics,
    write_results,
)
from recap.runtime.errors import UserError
from tests.hostile_text import ALL, FORMULA, SCRIPT


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), atomic_path(path) as draft:
        draft.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for content in ("one", "two"):
        with atomic_path(target) as draft:
            draft.mkdir()
            (draft / content).touch()
    assert [path.name for path in target.iterdir()] == ["two"]


def test_jsonl_round_trip_keeps_unicode_and_order(tmp_path: Path) -> None:
    rows = [{"id": "b", "text": "Straße \u2028 x"}, {"id": "a", "text": ""}]
    assert write_jsonl(tmp_path / "x.jsonl", rows) == 2
    assert list(read_jsonl(tmp_path / "x.jsonl")) == rows


@pytest.mark.parametrize(("line", "told"), [('{"a": 1', ":2: expected a JSON object"), ("[1]", ":2: .*found list")])
def test_a_bad_line_is_named(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=told):
        list(read_jsonl(tmp_path / "x.jsonl"))


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the stage that writes it"):
        list(read_jsonl(tmp_path / "x.jsonl"))
    with pytest.raises(UserError, match="run the stage that writes it"):
        read_json(tmp_path / "x.json")


def test_metrics_are_rounded_and_finite(tmp_path: Path) -> None:
    write_metrics(tmp_path / "m.json", "loss", {"final": 1 / 3, "steps": 7, "parts": {"x": [0.12345678]}, "none": None})
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    expected = {"loss": {"final": 0.333333, "steps": 7, "parts": {"x": [0.123457]}, "none": None}}
    assert json.loads(text) == expected
    with pytest.raises(ValueError, match=r"loss\.final is nan"):
        write_metrics(tmp_path / "m.json", "loss", {"final": float("nan")})


def test_the_headline_goes_to_metrics_and_the_rest_to_details(tmp_path: Path) -> None:
    values = {"rows": 3, "after": {"mattr": 0.5, "maas": 0.1}, "only": {"x": 1}, "reasons": {}, "none": None}
    write_results(tmp_path / "m.json", tmp_path / "d.json", "q", values, headline=("none", "after.mattr", "only.x"))
    assert read_json(tmp_path / "m.json") == {"q": {"after": {"mattr": 0.5}, "only": {"x": 1}, "none": None}}
    assert read_json(tmp_path / "d.json") == {"q": {"rows": 3, "after": {"maas": 0.1}, "reasons": {}}}
    for name in ("row", "after.mtld"):
        with pytest.raises(KeyError, match=name.split(".")[-1]):
            write_results(tmp_path / "m.json", tmp_path / "d.json", "q", values, headline=(name,))


def test_outputs_behind_a_link_are_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    (tmp_path / "models").mkdir()
    refuse_linked_folders([Path("models/merged"), tmp_path / "data/corpus", Path("nothing/there")])
    with pytest.raises(UserError, match=r"data: expected a folder, found a link to .*/disk: .* dvc cache dir"):
        refuse_linked_folders([Path("models/merged"), Path("data/corpus")])


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    assert read_json(tmp_path / "a.json") == [1]
    assert list(read_jsonl(tmp_path / "a.jsonl")) == [{"a": 1}, {"a": 2}]
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n{"a": "\xff"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl:2: expected UTF-8 text"):
        list(read_jsonl(tmp_path / "a.jsonl"))


def test_where_nothing_can_be_made_is_said_in_a_line() -> None:
    with pytest.raises(UserError, match=r"/dev/null/file: expected a place to write to"), atomic_path("/dev/null/file"):
        pass
    with pytest.raises(UserError, match=r"/proc/file: expected a place to write to"), atomic_path("/proc/file"):
        pass


def test_a_file_takes_no_folders_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dear").touch()
    with pytest.raises(UserError, match="expected a file to write, found a folder"):
        write_jsonl(tmp_path / "data", [])
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "dear"]


@pytest.mark.parametrize(
    "cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "- a cat", "-"]
)
def test_what_a_spreadsheet_would_compute_is_a_text(cell: str) -> None:
    assert defused(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a cat", "-5", "-5.25", "+1.5e-3", "-.5", "1-2", "a=b", "'=1"])
def test_numbers_and_other_texts_stay(cell: str) -> None:
    assert defused(cell) == cell


def test_a_table_of_others_words(tmp_path: Path) -> None:
    write_csv(tmp_path / "words.csv", ("word", "count", "share"), [(word, -3, -0.5) for word in (*ALL, "half \ud83d")])
    with (tmp_path / "words.csv").open(encoding="utf-8", newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head == ["word", "count", "share"]
    assert [row[1:] for row in rows] == [["-3", "-0.5"]] * (len(ALL) + 1)
    words = [row[0] for row in rows]
    assert words[ALL.index(FORMULA)] == f"'{FORMULA}" and words[-1] == "half \\ud83d"
    assert words[ALL.index(SCRIPT)].startswith("‹/script>")
    assert not any("<" in word for word in words)


def test_what_is_half_written_is_nobody_elses(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.json") as draft:
        draft.write_text("{}", encoding="utf-8")
        assert stat.S_IMODE(draft.parent.stat().st_mode) == 0o700

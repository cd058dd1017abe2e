"""The table of a corpus from its index, without pictures, and the quick look at a file that nothing has prepared."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from recap.data.corpus.index import INDEX
from recap.data.explore.quick import read_sample
from recap.data.explore.table import COLUMNS, read_index
from recap.io import write_text
from recap.runtime.errors import UserError


def test_the_index_is_read_and_no_picture_opened(make_table: Callable[..., pandas.DataFrame], tmp_path: Path) -> None:
    table = make_table(["a cat", "a dog"])
    table.assign(shard="shard-00000.tar", offset=0).to_parquet(tmp_path / INDEX)
    pandas.testing.assert_frame_equal(read_index(tmp_path / INDEX), table[list(COLUMNS)])


def test_what_is_no_index_is_one_line(tmp_path: Path) -> None:
    pandas.DataFrame({"id": ["a"]}).to_parquet(tmp_path / INDEX)
    with pytest.raises(UserError, match="expected an index with id, image, caption"):
        read_index(tmp_path / INDEX)
    write_text(tmp_path / INDEX, "nothing of the kind")
    with pytest.raises(UserError, match="rerun prepare"):
        read_index(tmp_path / INDEX)
    (tmp_path / INDEX).unlink()
    with pytest.raises(UserError, match=r"expected an index with .*, found nothing; rerun prepare"):
        read_index(tmp_path / INDEX)


def test_a_quick_look_sees_what_prepare_has_packed(corpus: Path) -> None:
    packed, rejected = read_index(corpus / INDEX), []
    for source in ("train.jsonl", INDEX):
        table, rejected = read_sample(corpus / source, None, rows=100, seed=1, workers=1)
        pandas.testing.assert_frame_equal(table, packed, check_dtype=False, check_exact=False)
        assert rejected == []
    assert list(packed["height"]) == [200, 220, 240, 260, 280, 300]


def test_quick_look_reads_what_it_can(corpus: Path) -> None:
    lines = (corpus / "train.jsonl").read_text() + 'broken\n[1]\n{"id": "x", "text": "a cat"}\n'
    lines += '{"images": ["images/1.png"], "text": ""}\n{"images": ["images/gone.png"], "text": "a cat"}\n'
    lines += '{"images": ["images/0.png"], "text": "a caption without an id"}\n'
    lines += lines.splitlines()[0] + "\n"
    write_text(corpus / "pairs.jsonl", lines)
    table, rejected = read_sample(corpus / "pairs.jsonl", None, rows=100, seed=1)
    assert list(table["caption"].iloc[5:]) == ["a red bus stands next to a small tree", "a caption without an id"]
    reasons = [row["reason"] for row in rejected]
    assert reasons == ["broken_json", "not_an_object", "no_image", "empty_caption", "missing_image", "duplicate_id"]


def test_quick_look_knows_ids_that_come_twice(corpus: Path) -> None:
    lines = (corpus / "train.jsonl").read_text()
    write_text(corpus / "twice.jsonl", lines + lines)
    table, rejected = read_sample(corpus / "twice.jsonl", None, rows=100, seed=1)
    assert len(table) == 6
    assert [(row["id"], row["reason"]) for row in rejected] == [(name, "duplicate_id") for name in table["id"]]


def test_quick_look_reads_other_formats(corpus: Path) -> None:
    write_text(corpus / "pairs.csv", "image,caption\nimages/0.png,a cat\nimages/1.png,a dog\n")
    table, rejected = read_sample(corpus / "pairs.csv", None, rows=100, seed=1)
    assert (list(table["caption"]), list(table["height"]), rejected) == (["a cat", "a dog"], [200, 220], [])


def test_a_sample_is_drawn_by_its_seed(corpus: Path) -> None:
    draws = [read_sample(corpus / "train.jsonl", None, rows=3, seed=seed)[0]["id"].tolist() for seed in (1, 1, 2, 3)]
    assert draws[0] == draws[1] and len({tuple(draw) for draw in draws}) > 1
    assert all(draw == sorted(draw) and len(draw) == 3 for draw in draws)


def test_nothing_to_look_at(tmp_path: Path) -> None:
    gone = '{"image": "gone.jpg", "text": "a cat"}\n'
    for content, told in ((None, ""), ('{"a": 1}\n', ""), (gone, ".*found 1 rows and none .*: missing_image: .*gone")):
        if content:
            write_text(tmp_path / "other.jsonl", content)
        with pytest.raises(UserError, match=rf"other\.jsonl{told}"):
            read_sample(tmp_path / "other.jsonl", None, rows=1, seed=1)


def test_quick_look_on_the_command_line(
    corpus: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [str(corpus / "train.jsonl"), "--output", str(tmp_path / "out"), "--params", str(root / "params.yaml")]
    monkeypatch.setattr(sys, "argv", ["explore", *flags])
    runpy.run_module("recap.data.explore")["main"]()
    printed = capsys.readouterr().out
    assert "6 rows can be used" in printed and "- words_num_filter:" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"plots", "report.md", "suggested_recipe.yaml"}
    assert "](plots/words.png)" in (tmp_path / "out/report.md").read_text()


@pytest.mark.parametrize("rows", ["0", "-3", "many"])
def test_a_sample_of_nothing_is_refused(
    rows: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["explore", "train.jsonl", "--sample", rows])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("recap.data.explore")["main"]()
    assert stopped.value.code == 2
    assert "argument --sample: " in capsys.readouterr().err

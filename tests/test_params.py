"""params.yaml is read once, checked as a whole, and every mistake is one clear line."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from recap.params import load_all, load_params
from recap.runtime.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def values() -> Any:
    return YAML(typ="safe").load(ROOT / "params.yaml")


def written(tmp_path: Path, values: Any) -> Path:
    path = tmp_path / "params.yaml"
    YAML().dump(values, path)
    return path


def test_a_section_comes_with_its_types() -> None:
    lora = load_params("lora", ROOT / "params.yaml")
    assert (lora.r, lora.alpha, lora.dropout) == (16, 32, 0.1)
    assert load_params("seed", ROOT / "params.yaml") == 42


def test_numbers_follow_yaml_1_2(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("5.0e-4", "5e-4")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert load_params("finetune", tmp_path / "params.yaml").learning_rate == 0.0005


def test_every_problem_is_told_at_once_in_one_line(tmp_path: Path, values: Any) -> None:
    values["lora"]["rank"] = values["lora"].pop("r")
    values["pretrain"]["learning_rate"] = "fast"
    values["machine"]["answer_batch_size"] = 0
    with pytest.raises(UserError) as caught:
        load_params("seed", written(tmp_path, values))
    message = str(caught.value)
    assert "4 problem(s)" in message and "\n" not in message
    assert "lora.r: missing" in message and "lora.rank: no such parameter" in message
    assert "pretrain.learning_rate" in message and "'fast'" in message
    assert "machine.answer_batch_size" in message and "found 0" in message


@pytest.mark.parametrize(
    ("section", "change", "told"),
    [
        ("mgm", {"image_global": True}, "image_grid must exceed 1, found 1"),
        ("caption", {"do_sample": True, "num_beams": 3}, "num_beams must be 1, found 3"),
        ("caption", {"temperature": float("inf")}, "caption.temperature: input should be a finite number"),
        ("caption", {"candidates": 4}, "do_sample must be true or num_beams at least that, found 1"),
        ("caption", {"min_new_tokens": 40}, "min_new_tokens must be at most that, found 40"),
        ("finetune", {"caption_share": 1.0}, "finetune.caption_share: input should be less than 1"),
        ("caption", {"language": "english"}, "caption.language: string should match pattern"),
        ("models", {"captioner": {"path": "x", "hub": "a/b", "revision": None}}, "needs a revision"),
    ],
)
def test_values_that_exclude_each_other(
    section: str, change: dict[str, Any], told: str, tmp_path: Path, values: Any
) -> None:
    values[section] |= change
    with pytest.raises(UserError, match=told):
        load_all(written(tmp_path, values))


@pytest.mark.parametrize(
    ("section", "change", "told"),
    [
        (
            "machine",
            {"processes": "two"},
            r": 1 problem\(s\): machine\.processes: input should be 'auto' or .*found 'two'",
        ),
        ("machine", {"processes": 0}, r": 1 problem\(s\): machine\.processes: .*found 0"),
        ("machine", {"processes": True}, r": 1 problem\(s\): machine\.processes: .*found True"),
        ("finetune", {"val_rows": -1}, r"finetune\.val_rows.*found -1"),
        ("finetune", {"connector_learning_rate": 0.0}, r"finetune\.connector_learning_rate.*found 0\.0"),
        ("pretrain", {"connector_learning_rate": 1.0e-3}, r"pretrain\.connector_learning_rate: no such parameter"),
        ("pretrain", {"drop_path": 1.0}, r"pretrain\.drop_path.*found 1\.0"),
        ("pretrain", {"loss_normalisation": "rows"}, r"pretrain\.loss_normalisation.*found 'rows'"),
        ("pretrain", {"max_left_out": 101.0}, r"pretrain\.max_left_out.*found 101"),
        ("pretrain", {"max_grad_norm": -1.0}, r"pretrain\.max_grad_norm.*found -1\.0"),
    ],
)
def test_training_values_out_of_range(
    section: str, change: dict[str, Any], told: str, tmp_path: Path, values: Any
) -> None:
    values[section] |= change
    with pytest.raises(UserError, match=told):
        load_all(written(tmp_path, values))


def test_text_is_no_number(tmp_path: Path, values: Any) -> None:
    values["lora"]["r"] = "16"
    with pytest.raises(UserError, match=r"lora\.r"):
        load_all(written(tmp_path, values))


@pytest.mark.parametrize("content", ["recipe: [", "- 1\n- 2\n"])
def test_a_file_that_is_no_parameter_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"params\.yaml"):
        load_all(tmp_path / "params.yaml")


def test_a_missing_file_and_a_missing_section(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing"):
        load_all(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="asked for 'lorra'"):
        load_params("lorra", ROOT / "params.yaml")


@pytest.mark.parametrize("path", ["a 'b' c", "données", "a#b", "a;b&c|d"])
def test_paths_are_free_up_to_what_a_shell_reads_between_quotes(tmp_path: Path, values: Any, path: str) -> None:
    values["data"]["source"] = path
    assert load_params("data", written(tmp_path, values)).source == path


@pytest.mark.parametrize("path", ["", " "])
def test_a_blank_is_no_path(tmp_path: Path, values: Any, path: str) -> None:
    values["machine"]["store"] = path
    with pytest.raises(UserError, match=f"machine.store: expected a path, found '{path}'"):
        load_all(written(tmp_path, values))


@pytest.mark.parametrize("path", ['a"b', "a$b", "a`b", "a\\b", "a\nb"])
def test_other_paths_are_one_line(tmp_path: Path, values: Any, path: str) -> None:
    values["data"]["source"] = values["models"]["captioner"]["path"] = path
    with pytest.raises(
        UserError, match=r"2 problem\(s\): data.source: a path cannot hold .*; models.captioner.path: a"
    ):
        load_all(written(tmp_path, values))

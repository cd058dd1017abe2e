"""Recipes, params and models' folders are data: no code runs from them unless the user has said that it may."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from recap.alignment.aligners import load_aligner
from recap.captioning.decoding import Decoding
from recap.captioning.loading import check_captioner, load_captioner
from recap.data.processing.building import Supplied, build_operators
from recap.data.processing.recipe import read_recipe
from recap.params import load_all, read_yaml
from recap.runtime.errors import UserError
from tests.fuzz.guard import confined

CPU: dict[str, Any] = {"device": torch.device("cpu"), "dtype": torch.float32}


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that code would make."""
    return tmp_path / "ran"


@pytest.fixture
def code(tmp_path: Path, ran: Path) -> Path:
    """A Python file that leaves a trace when it runs."""
    file = tmp_path / "code.py"
    file.write_text(
        f"import pathlib\npathlib.Path({str(ran)!r}).touch()\nprocess_single = score_fn = lambda sample: sample\n"
    )
    return file


def build(folder: Path, process: list[Any], **more: Any) -> list[Any]:
    file = folder / "mine.yaml"
    with file.open("w") as stream:
        YAML(typ="safe").dump({"process": process, **more}, stream)
    return build_operators(read_recipe(file), Supplied(""))


@pytest.mark.parametrize(
    "tagged",
    [
        '!!python/object/apply:os.system ["touch {ran}"]',
        '!!python/object/new:os.system ["touch {ran}"]',
        "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{ran}]]",
        "!!python/module:code",
        "!!python/name:os.system x",
    ],
)
def test_tags_of_yaml_make_no_objects(tagged: str, root: Path, tmp_path: Path, ran: Path) -> None:
    spelt = tagged.format(ran=ran)
    params = (root / "params.yaml").read_text().replace("recipe: blip2", f"recipe: {spelt}")
    assert spelt in params
    (tmp_path / "params.yaml").write_text(params)
    (tmp_path / "mine.yaml").write_text(f"process:\n  - words_num_filter: {spelt}\n")
    for read, name in ((load_all, "params.yaml"), (read_recipe, "mine.yaml"), (read_yaml, "params.yaml")):
        with pytest.raises(UserError, match="could not determine a constructor for the tag"):
            read(tmp_path / name)
    assert not ran.exists()


def test_aliases_may_repeat_values_and_not_unfold_into_millions(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("process:\n  - words_num_filter: &bounds {min_num: 1}\n  - text_length_filter: *bounds\n")
    assert [operator.arguments for operator in read_recipe(file).operators] == [{"min_num": 1}] * 2
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    for bomb in ("\n".join([*levels, "process: *l9"]), "process: &me [*me]", "process: [" * 5 + "[" * 50_000):
        file.write_text(bomb)
        with (
            confined(tmp_path / "output"),
            pytest.raises(UserError, match=r"expected at most|brackets within brackets"),
        ):
            read_recipe(file)


@pytest.mark.parametrize(
    ("operator", "argument"),
    [
        ("python_lambda_mapper", "lambda_str"),
        ("python_file_mapper", "file_path"),
        ("remove_repeat_sentences_mapper", "tokenizer"),
        ("image_ohem_selector", "score_file"),
    ],
)
def test_a_recipe_holds_no_code_and_names_none_but_its_operators(
    operator: str, argument: str, tmp_path: Path, code: Path, ran: Path
) -> None:
    wanted = str(code) if "file" in argument else f"lambda sample: __import__('pathlib').Path({str(ran)!r}).touch()"
    with pytest.raises(UserError, match=rf"{operator}: expected no {argument}, .* custom_operator_paths"):
        build(tmp_path, [{operator: {argument: wanted}}])
    assert not ran.exists()


def test_a_recipe_trusts_no_models_code(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected no trust_remote_code"):
        build(tmp_path, [{"image_captioning_mapper": {"trust_remote_code": True}}])


def test_an_operator_that_starts_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one that starts other programs"):
        build(tmp_path, [{"video_undistort_mapper": {}}])


@pytest.mark.parametrize("name", ["os.system", "code.py", "../code", "__import__", "recap.data.processing.ops"])
def test_an_operator_is_a_registered_name_and_no_path(name: str, tmp_path: Path, code: Path, ran: Path) -> None:
    with pytest.raises(UserError, match="operators exist"):
        build(tmp_path, [{name: {}}])
    assert not ran.exists()


def test_the_users_own_file_of_operators_runs(tmp_path: Path, code: Path, ran: Path) -> None:
    assert build(tmp_path, [], custom_operator_paths=[str(code)]) == [] and ran.exists()


def with_own_code(model: Path, folder: Path, ran: Path) -> Path:
    """A model of a kind that only its folder's Python knows, which leaves a trace when it is imported."""
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    classes = {name: f"code.Own{name}" for name in ("AutoConfig", "AutoModel", "AutoModelForImageTextToText")}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": classes}))
    (folder / "code.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\nraise ImportError('ran')\n")
    return folder


def test_a_models_own_code_does_not_run_and_the_line_says_how_to_allow_it(
    root: Path, tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("nobody is there to be asked"))
    captioner = with_own_code(root / "models/tiny/captioner", tmp_path / "captioner", ran)
    for load in (lambda: check_captioner(captioner), lambda: load_captioner(captioner, Decoding(), **CPU)):
        with pytest.raises(UserError, match=r"was not run .* set device\.trust_remote_code to true"):
            load()
    aligner = with_own_code(root / "models/tiny/aligner", tmp_path / "aligner", ran)
    with pytest.raises(UserError, match=r"was not run .* see models\.aligner"):
        load_aligner(aligner, **CPU)
    assert not ran.exists()

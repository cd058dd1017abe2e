"""Reading recipes: the shipped ones build, wrong ones are one clear line."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.tokens import AliasToken, AnchorToken

from recap.data.processing.recipe import read_recipe
from recap.data.processing.runner import build_operators
from recap.runtime.errors import UserError

RULES = ["words_num_filter", "word_repetition_filter", "character_repetition_filter", "text_length_filter"]
OPERATORS = {
    "baseline": [],
    "filtered": ["image_shape_filter", *RULES],
    "recaptioned": ["blip2_captioned_filter", "blip2_caption_mapper"],
    "blip2": ["image_shape_filter", "blip2_captioned_filter", "blip2_caption_mapper", *RULES],
    "selective": ["image_shape_filter", "blip2_caption_mapper", *RULES],
}


def test_every_recipe_is_tested(root: Path) -> None:
    assert {path.stem for path in (root / "recipes").glob("*.yaml")} == OPERATORS.keys()


@pytest.mark.parametrize("name", OPERATORS)
def test_shipped_recipes_build(root: Path, folder: Path, name: str) -> None:
    recipe = read_recipe(root / "recipes" / f"{name}.yaml")
    assert recipe.name == name
    assert [operator.name for operator in recipe.operators] == OPERATORS[name]
    assert len(build_operators(recipe, folder / "captions.jsonl")) == len(OPERATORS[name])


def test_recipes_share_their_rules(root: Path) -> None:
    rules = {
        name: [item for item in read_recipe(root / "recipes" / f"{name}.yaml").operators if item.name in RULES]
        for name in ("filtered", "blip2", "selective")
    }
    assert rules["filtered"] == rules["blip2"] == rules["selective"]
    by_name = {rule.name: rule.arguments for rule in rules["blip2"]}
    assert by_name["words_num_filter"] == {"min_num": 6, "max_num": 60}
    assert by_name["word_repetition_filter"]["max_ratio"] == 0.3
    assert by_name["character_repetition_filter"]["max_ratio"] == 0.15
    assert by_name["text_length_filter"] == {"min_len": 20, "max_len": 300}


def test_selective_keeps_a_raw_caption_by_the_rules_that_judge_it_afterwards(root: Path) -> None:
    operators = read_recipe(root / "recipes" / "selective.yaml").operators
    (mapper,) = (item for item in operators if item.name == "blip2_caption_mapper")
    rules = [{item.name: item.arguments} for item in operators if item.name in RULES]
    assert mapper.arguments["only_where_raw_fails"] == rules


def test_no_recipe_has_aliases(root: Path) -> None:
    """`dvc exp run -S` writes each alias out: a change of one copy would leave the other."""
    for recipe in (root / "recipes").glob("*.yaml"):
        tokens = YAML(pure=True).scan(recipe.read_text(encoding="utf-8"))
        assert not [token for token in tokens if isinstance(token, AliasToken | AnchorToken)], recipe


def test_repeated_operators_get_labels_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("process:\n  - text_length_filter:\n  - text_length_filter: {min_len: 3}\n")
    assert [item.label for item in read_recipe(path).operators] == ["text_length_filter", "text_length_filter_2"]


def test_unknown_recipe_names_the_closest(root: Path) -> None:
    with pytest.raises(UserError, match=r"no such recipe; .* holds baseline, blip2, .*; did you mean blip2\?"):
        read_recipe(root / "recipes" / "blip.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a Data-Juicer recipe"),
        ("process: text_length_filter", "expected a Data-Juicer recipe"),
        ("process: [text_length_filter]", "process item 1: expected `operator: arguments`"),
        ("process: [{a: {}, b: {}}]", "process item 1"),
        ("process: [{text_length_filter: 3}]", "expected arguments of text_length_filter, found 3"),
        ("process: []\nnp: 4\ndataset_path: x", "found np, dataset_path"),
        ("process: [{text_length_filter: {skip_op_error: true}}]", "skip_op_error loses"),
        ("process: [", "recipe.yaml"),
    ],
)
def test_wrong_recipes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_recipe(path)


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ("- words_number_filter: {}", r"Unknown operator 'words_number_filter'.*did you mean: words_num_filter"),
        ("- words_num_filter: {min_words: 3}", r"Unknown parameter 'min_words'"),
        ("- words_num_filter: {min_num: six}", r"'min_num' expects type 'int', got 'str'"),
        ("- image_shape_filter: {any_or_all: some}", r"image_shape_filter refuses its arguments: ValueError"),
        ("- blip2_caption_mapper: {only_where_raw_fails: [{word_filter: {}}]}", r"Unknown operator 'word_filter'"),
        ("- naive_grouper: {}", r"naive_grouper regroups rows"),
    ],
)
def test_wrong_operators(tmp_path: Path, folder: Path, process: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"process:\n  {process}\n")
    with pytest.raises(UserError, match=message) as caught:
        build_operators(read_recipe(path), folder / "captions.jsonl")
    assert "\n" not in str(caught.value)

"""Reading recipes: the shipped ones build, wrong ones are one clear line."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.tokens import AliasToken, AnchorToken

from recap.data.processing.building import Supplied, build_operators
from recap.data.processing.recipe import read_recipe
from recap.params import read_yaml
from recap.runtime.errors import UserError


def supplied(folder: Path) -> Supplied:
    return Supplied(str(folder / "captions.jsonl"), str(folder / "raw_captions.jsonl"))


RECIPES = [
    "baseline", "best_of", "blip2", "both", "filtered", "length_matched", "mixed", "other_image", "recaptioned",
    "repaired", "selective", "shuffled",
]  # fmt: skip


def operators(root: Path, name: str) -> list[tuple[str, dict[str, Any]]]:
    return [(item.name, item.arguments) for item in read_recipe(root / "recipes" / f"{name}.yaml").operators]


def rules(root: Path, name: str) -> list[tuple[str, dict[str, Any]]]:
    """What judges captions: Data-Juicer's filters of text."""
    return [item for item in operators(root, name) if item[0] in TEXT_RULES]


TEXT_RULES = ("words_num_filter", "word_repetition_filter", "character_repetition_filter", "text_length_filter")


def test_every_recipe_is_tested(root: Path) -> None:
    assert sorted(path.stem for path in (root / "recipes").glob("*.yaml")) == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipes_build(root: Path, folder: Path, name: str) -> None:
    path = root / "recipes" / f"{name}.yaml"
    recipe = read_recipe(path)
    assert read_yaml(path)["project_name"] == recipe.name == name
    assert len(build_operators(recipe, supplied(folder))) == len(recipe.operators)


@pytest.mark.parametrize("name", ["filtered", "repaired"])
def test_recipes_judge_by_the_rules_of_blip2(root: Path, name: str) -> None:
    shape = operators(root, "blip2")[0]
    assert len(rules(root, "blip2")) == len(TEXT_RULES)
    assert rules(root, name) == rules(root, "blip2") and operators(root, name)[0] == shape


def test_filtered_is_blip2_without_its_captions(root: Path) -> None:
    of_captions = [item[0] for item in operators(root, "blip2") if item not in operators(root, "filtered")]
    assert of_captions == [name for name, _ in operators(root, "recaptioned")]


@pytest.mark.parametrize("name", ["shuffled", "length_matched"])
def test_a_placebo_is_its_arm_and_one_operator_more(root: Path, name: str) -> None:
    *arm, placebo = operators(root, name)
    assert arm == operators(root, "blip2") and placebo[0].startswith("caption_")


def test_repaired_keeps_a_raw_caption_by_the_rules_that_judge_it_afterwards(root: Path) -> None:
    lookup = dict(operators(root, "repaired"))["blip2_caption_lookup_mapper"]
    assert lookup["only_where_raw_fails"] == [{name: arguments} for name, arguments in rules(root, "blip2")]


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
    with pytest.raises(UserError, match=r"no such recipe; .* holds baseline, .*blip2, .*; did you mean blip2\?"):
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
        (
            "process: []\ncustom_operator_paths: one.py",
            "custom_operator_paths: expected a list of files, found 'one.py'",
        ),
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
        (
            "- blip2_caption_lookup_mapper: {only_where_raw_fails: [{word_filter: {}}]}",
            r"Unknown operator 'word_filter'",
        ),
        ("- naive_grouper: {}", r"naive_grouper regroups rows"),
        ("- blip2_caption_mapper: {}", r"Unknown operator 'blip2_caption_mapper'"),
        ("- blip2_caption_lookup_mapper: {worst_aligned_share: null}", "expected a number from 0 to 1, found None"),
        ("- blip2_caption_lookup_mapper: {worst_aligned_share: 1.5}", r"expected a number from 0 to 1, found 1\.5"),
        ("- best_aligned_selector: {}", r"expected a share from 0 to 1 or a number of rows, found share 1"),
        ("- best_aligned_selector: {share: 0.0}", r"expected a share from 0 to 1 or a number of rows, found share 0"),
    ],
)
def test_wrong_operators(tmp_path: Path, folder: Path, process: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"process:\n  {process}\n")
    with pytest.raises(UserError, match=message) as caught:
        build_operators(read_recipe(path), supplied(folder))
    assert "\n" not in str(caught.value)

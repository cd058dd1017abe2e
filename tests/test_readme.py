"""Every command that the README tells a reader to type is exercised by a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

EXPERIMENT = "tests/test_experiment.py::"
SHARED = f"{EXPERIMENT}test_what_an_author_shares_a_stranger_has"
# Command, without its comment -> what in the tests runs it. Options are as there; names and folders may differ.
EXERCISED = {
    "make": f"{EXPERIMENT}test_make_runs_both_recipes_and_then_nothing",
    "make help": f"{EXPERIMENT}test_make_helps_changes_scale_and_names_missing_models",
    "make compare A=baseline B=blip2": f"{EXPERIMENT}test_make_runs_both_recipes_and_then_nothing",
    "make foundry": "tests/foundry/test_foundry.py::test_the_foundry_at_toy_length",
    "make models": f"{EXPERIMENT}test_make_helps_changes_scale_and_names_missing_models",
    "make profile P=mgm-2b": f"{EXPERIMENT}test_make_helps_changes_scale_and_names_missing_models",
    "make rehearse": f"{EXPERIMENT}test_make_helps_changes_scale_and_names_missing_models",
    "make profile P=smoke": f"{EXPERIMENT}test_make_helps_changes_scale_and_names_missing_models",
    "source .venv/bin/activate": f"{EXPERIMENT}test_make_helps_changes_scale_and_names_missing_models",
    "dvc repro": f"{EXPERIMENT}test_a_second_run_executes_nothing",
    "dvc exp run -n small-rank -S lora.r=8": f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale",
    "dvc exp run -n NAME -S recipe=NAME": f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale",
    "dvc exp run -n blip2": f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale",
    "dvc exp run": "tests/experiments/test_headline.py::"
    "test_bare_dvc_runs_on_a_clean_tree_and_else_says_that_it_wants_an_identity",
    "dvc exp run -S 'recipes/blip2.yaml:process.3.words_num_filter.min_num=8'": (
        f"{EXPERIMENT}test_a_number_in_a_recipe_is_an_experiment"
    ),
    "dvc exp show --only-changed": f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale",
    "dvc checkout": f"{EXPERIMENT}test_a_lock_that_only_durations_changed_is_put_back",
    "dvc metrics show": f"{EXPERIMENT}test_metrics_fit_a_screen",
    "dvc exp run -n mine -S data.source=/path/to/my-data": (
        "tests/test_own_data.py::test_a_folder_with_only_a_corpus_borrows_the_rest"
    ),
    "dvc metrics diff baseline blip2": f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale",
    "dvc metrics diff main my-branch": f"{EXPERIMENT}test_branches_compare",
    "dvc plots diff baseline blip2": f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale",
    "make remote R=/some/folder": SHARED,
    'git commit -m "Where artifacts lie" .dvc/config && make': SHARED,
    "make share": SHARED,
    "git clone URL recap && cd recap && make venv": SHARED,
    "make pull": SHARED,
    "make pull-scores": SHARED,
    "make seeds N=3": f"{EXPERIMENT}test_make_seeds_trains_what_is_missing_and_captions_nothing",
    "make placebo": "tests/experiments/test_placebo.py::test_placebos_are_trained_beside_what_is_there",
    "python -m recap.comparison baseline blip2 --markdown -": (
        f"{EXPERIMENT}test_experiments_rerun_what_their_change_made_stale"
    ),
    "python -m recap.reporting.comparison baseline blip2": f"{EXPERIMENT}test_make_runs_both_recipes_and_then_nothing",
    "python -m recap.models.mgm.convert SRC DST": "tests/models/mgm/test_convert.py::test_as_a_module",
    "python -m recap.data.explore FILE": (
        "tests/data/explore/test_explore_table.py::test_quick_look_on_the_command_line"
    ),
    "python -m recap.training.check PATH": "tests/training/test_check.py::test_command_line",
    "python -m recap": "tests/test_package.py::test_in_a_clone_the_list_is_light_and_says_so",
    "make test": ".ci/run",
}


def commands() -> set[str]:
    """Lines of the code blocks, and commands in running text, without comments and line breaks."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = [line.split("  ")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    inline = re.findall(r"`((?:make|dvc|python|source)(?:\s[^`]*)?)`", prose)
    return {" ".join(command.split()) for command in [*lines, *inline]}


def test_every_command_is_exercised() -> None:
    assert commands() == set(EXERCISED)


def test_the_named_tests_exist() -> None:
    for place in set(EXERCISED.values()) - {".ci/run"}:
        file, test = place.split("::")
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), place
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "foundry" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"

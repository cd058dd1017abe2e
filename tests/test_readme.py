"""Every command that the README tells a reader to type is exercised by a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Command, without its comment -> what in the tests runs it. Options are as there; names and folders may differ.
EXERCISED = {
    "make": "test_make_runs_both_recipes_and_then_nothing",
    "make test": ".ci/run",
    "dvc repro": "test_a_second_run_executes_nothing",
    "dvc exp run -n small-rank -S lora.r=8": "test_experiments_rerun_what_their_change_made_stale",
    "dvc metrics diff baseline blip2": "test_experiments_rerun_what_their_change_made_stale",
    "dvc push": "test_branches_compare_and_a_remote_shares",
    "make compare A=baseline B=blip2": "test_make_runs_both_recipes_and_then_nothing",
    "dvc exp run -n mine -S data.source=/path/to/my-data": "test_a_folder_with_only_a_corpus_borrows_the_rest",
    "make profile P=mgm-2b": "test_make_helps_changes_scale_and_names_missing_models",
    "make models": "test_make_helps_changes_scale_and_names_missing_models",
    "dvc exp run -n blip2": "test_experiments_rerun_what_their_change_made_stale",
}


def test_every_command_is_exercised() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", readme, re.DOTALL)
    commands = {line.split("  ")[0].strip() for block in blocks for line in block.splitlines() if line.strip()}
    assert commands == set(EXERCISED)


def test_the_named_tests_exist() -> None:
    source = (ROOT / "tests" / "test_experiment.py").read_text(encoding="utf-8")
    for test in set(EXERCISED.values()) - {".ci/run"}:
        assert f"def {test}(" in source
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "foundry" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"

"""The pipeline as its users run it: every stage for real, in fresh clones, on the smallest embedded world.

- a second run executes nothing; an experiment re-runs what its change made stale and nothing else
- switching back to a finished run comes from the run-cache
- two clones with cold caches agree byte for byte, also when one was killed in every long stage
- `make` and `make seeds` work for a user who is not root and whom Git does not know
- metrics, plots and comparison work between experiments and between branches, and in a stranger's clone
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from recap.params import MachineParams
from tests.clones import ALL_STAGES, BENCHMARKS, FROM_FINETUNE, FROM_PROCESS, FROM_SEED, Clone, ran
from tests.processes import cpu_seconds
from tests.remotes.servers import SERVERS, Served
from tests.remotes.small import log_in
from tests.remotes.steps import Steps

pytestmark = pytest.mark.slow
ON_DEMAND = pytest.mark.skipif("RECAP_REMOTES" not in os.environ, reason="RECAP_REMOTES=1 shares whole runs over it")

# Everything that is meant to be equal between two equal runs: all outputs but durations and the page that shows them.
EQUAL = (
    *("metrics/*.json", "plots/**/*", "data/*.jsonl", "data/[acfps]*/**/*", "data/details/*.json", "models/[!t]*/**/*"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose pipeline has run once."""
    clone = Clone(tmp_path_factory.mktemp("finished"))
    assert sorted(ran(clone.dvc("repro"))) == sorted(ALL_STAGES)
    clone.borrow_environment()
    clone.run("make", "remote", f"R={clone.root.parent / 'remote' / 'store'}")
    clone.commit("first run")
    clone.first_outputs = outputs(clone)
    return clone


def outputs(clone: Clone) -> dict[str, str]:
    return {path: digest for path, digest in clone.digests(*EQUAL).items() if "data/report" not in path}


# Everything but numbers, which become 7.
ANOTHER_MACHINE = {
    "launcher": "deepspeed",
    "deepspeed": "configs/deepspeed/zero3.json",
    "gradient_checkpointing": "true",
}


def assert_reran(stages: list[str], expected: list[str]) -> None:
    """All of `expected` and nothing else ran; only a `score` may be spared, where the new answers equal the old."""
    assert set(stages) <= set(expected)
    assert {stage for stage in expected if not stage.startswith("score@")} <= set(stages)


def test_a_second_run_executes_nothing(finished: Clone) -> None:
    start = cpu_seconds()
    done = finished.dvc("repro")
    assert ran(done) == [] and "up to date" in done.stdout
    # It takes three; a busy machine takes longer, but no more of its processors.
    assert cpu_seconds() - start < 15


def test_a_lock_that_only_durations_changed_is_put_back(finished: Clone) -> None:
    timing = finished.root / "data/timings/explore.json"
    before = timing.read_bytes()
    # Another run can take the same time to the hundredth of a second.
    while timing.read_bytes() == before:
        assert ran(finished.dvc("repro", "--force", "--single-item", "explore")) == ["explore"]
    assert finished.run("git", "status", "--porcelain").stdout.split() == ["M", "dvc.lock"]
    finished.run("git", "restore", "dvc.lock")
    finished.dvc("checkout")
    assert "up to date" in finished.dvc("status").stdout
    assert finished.run("git", "status", "--porcelain").stdout == ""


def test_every_metric_file_has_its_subject_and_real_numbers(finished: Clone) -> None:
    files = {path.stem: json.loads(path.read_text()) for path in (finished.root / "metrics").glob("*.json")}
    assert {"prepare", "explore", "caption", "process", "quality", "pretrain", "finetune", "merge", *BENCHMARKS} == set(
        files
    )
    assert all(list(content) == [subject] for subject, content in files.items())
    assert files["merge"]["merge"]["logit_difference_max"] < 1e-3
    for benchmark in BENCHMARKS:
        score = files[benchmark][benchmark]
        assert 0 <= score["accuracy"] <= 100 and score["blank_accuracy"] is not None
        details = json.loads((finished.root / f"data/details/{benchmark}.json").read_text())[benchmark]
        assert details["num_expected"] == details["num_scored"] >= 12


def test_metrics_fit_a_screen(finished: Clone) -> None:
    shown = json.loads(finished.dvc("metrics", "show", "--json").stdout)
    files = list(next(iter(shown.values()))["data"])
    assert len(files) == 8 + len(BENCHMARKS)
    # Counted in the files, as DVC leaves out what is null, and a run so short has no spike score.
    assert sum(count_numbers(json.loads((finished.root / file).read_text())) for file in files) <= 40


def count_numbers(values: Any) -> int:
    return sum(map(count_numbers, values.values())) if isinstance(values, dict) else 1


def test_metrics_and_plots_are_in_git_and_small(finished: Clone) -> None:
    tracked = set(finished.run("git", "ls-files", "metrics", "plots", "data", "models").stdout.splitlines())
    written = {path for path in finished.first_outputs if path.startswith(("metrics/", "plots/"))}
    assert written <= tracked
    assert {f"{folder}/README.md" for folder in ("data", "models", "metrics", "plots")} <= tracked
    assert not [path for path in tracked if path.startswith("data/") and path != "data/README.md"]
    assert sum((finished.root / path).stat().st_size for path in written) <= 1.5e6


def test_another_machine_reruns_nothing(finished: Clone) -> None:
    path = finished.root / "params.yaml"
    good = path.read_text(encoding="utf-8")
    changed = good
    for name in MachineParams.model_fields:
        other = ANOTHER_MACHINE.get(name, 7)
        changed, times = re.subn(rf"(?m)^(  {name}:)[^#\n]*", rf"\1 {other}  ", changed)
        assert times == 1
    path.write_text(changed, encoding="utf-8")
    status = finished.dvc("status").stdout
    done = finished.dvc("repro")
    path.write_text(good, encoding="utf-8")
    assert "up to date" in status
    assert ran(done) == [] and "up to date" in done.stdout


def test_what_a_folder_of_outputs_says_of_itself_is_no_part_of_a_run(finished: Clone) -> None:
    for folder in ("data", "metrics", "models", "plots"):
        with (finished.root / folder / "README.md").open("a", encoding="utf-8") as stream:
            stream.write("One more line.\n")
    status = finished.dvc("status").stdout
    finished.run("git", "checkout", "-q", "--", "*/README.md")
    assert "up to date" in status


def test_a_seed_reruns_what_draws_and_goes_back_without_running(finished: Clone) -> None:
    """Plots and metrics come back from the run-cache too, though they are in Git and not in the cache."""
    other = finished.dvc("exp", "run", "-S", "seed=43")
    assert_reran(ran(other), FROM_SEED)
    assert outputs(finished) != finished.first_outputs
    shutil.rmtree(finished.root / "plots" / "pretrain")
    back = finished.dvc("exp", "run", "-S", "seed=42")
    assert ran(back) == []
    assert outputs(finished) == finished.first_outputs


def test_experiments_rerun_what_their_change_made_stale(finished: Clone) -> None:
    lora = finished.dvc("exp", "run", "-n", "small-rank", "-S", "lora.r=8")
    assert_reran(ran(lora), ["check", *FROM_FINETUNE])
    baseline = finished.dvc("exp", "run", "-n", "baseline", "-S", "lora.r=16", "-S", "recipe=baseline")
    assert_reran(ran(baseline), FROM_PROCESS)
    back = finished.dvc("exp", "run", "-n", "blip2", "-S", "recipe=blip2")
    assert ran(back) == []

    diff = json.loads(finished.dvc("metrics", "diff", "--json", "baseline", "small-rank").stdout)
    assert "loss_final" in str(diff["metrics/pretrain.json"])
    refused = finished.run("python", "-m", "recap.comparison", "baseline", "small-rank", check=False)
    assert refused.returncode == 1 and "parameter lora.r (A: 16, B: 8)" in refused.stderr
    compared = finished.run("python", "-m", "recap.comparison", "baseline", "small-rank", "--force").stdout
    assert compared.startswith("Not comparable in 1 respect") and "one seed a side" in compared
    quoted = finished.run("python", "-m", "recap.comparison", "baseline", "blip2", "--markdown", "-").stdout
    assert "| TextVQA |" in quoted or "| textvqa |" in quoted
    assert "small-rank" in finished.dvc("exp", "show", "--only-changed").stdout
    finished.dvc("plots", "diff", "baseline", "small-rank")
    page = (finished.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    for title in ("Loss of pretraining", "Gradient norm of finetuning", "Words per caption", "Accuracy by benchmark"):
        assert title in page


def test_a_number_in_a_recipe_is_an_experiment(finished: Clone) -> None:
    """As the README says: DVC counts a list's items from 0, and writes the file without its comments."""
    recipe = finished.root / "recipes" / "blip2.yaml"
    good = recipe.read_text(encoding="utf-8")
    changed = finished.dvc(
        "exp", "run", "--single-item", "process", "-S", "recipes/blip2.yaml:process.3.words_num_filter.min_num=8"
    )
    written = recipe.read_text(encoding="utf-8")
    recipe.write_text(good, encoding="utf-8")
    assert ran(changed) == ["process"]
    assert "min_num: 8" in written and "min_num: 6" in good
    finished.dvc("checkout")
    finished.run("git", "checkout", "-q", "--", "dvc.lock", "metrics")


def test_make_runs_both_recipes_and_then_nothing(finished: Clone, unprivileged: None) -> None:
    """As somebody who is not root and whom Git does not know."""
    first = finished.run("make").stdout
    for line in ("dvc metrics diff baseline blip2", "textvqa.accuracy", "quality.after.mattr", "finetune.loss_final"):
        assert line in first
    for recipe in ("baseline", "blip2"):
        assert f"report of {recipe}: reports/{recipe}.html" in first
        assert (finished.root / "reports" / f"{recipe}.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    start = cpu_seconds()
    assert "Nothing to do" in finished.run("make").stdout
    assert cpu_seconds() - start < 30
    compared = finished.run("make", "compare", "A=baseline", "B=blip2").stdout
    assert "Not judged (one seed a side)" in compared and "can't tell" not in compared
    assert "<!doctype html>" in (finished.root / "reports" / "baseline..blip2.html").read_text(encoding="utf-8")


def test_make_takes_an_edit_between_two_runs(finished: Clone, unprivileged: None) -> None:
    """Reports, metrics and outputs of the first run are replaced, though the cache's files are read-only."""
    score = finished.root / "stages" / "report.py"
    code = score.read_text(encoding="utf-8")
    score.write_text(f"{code}# An edit.\n", encoding="utf-8")
    again = finished.run("make").stdout
    score.write_text(code, encoding="utf-8")
    assert "baseline: changed since: stages/report.py" in again
    assert again.count("Running stage 'report'") == 2 and again.count("Running stage") == 2


def test_make_seeds_trains_what_is_missing_and_captions_nothing(finished: Clone) -> None:
    finished.run("make")
    params = (finished.root / "params.yaml").read_text(encoding="utf-8")
    done = finished.run("make", "seeds", "N=2")
    assert "2 to train" in done.stdout
    assert_reran(ran(done), FROM_SEED)
    # One of each recipe, unless a test before this one has left seed 43 of blip2 in the run-cache.
    assert ran(done).count("finetune") in (1, 2)
    for module in ("recap.comparison", "recap.reporting.comparison"):
        assert f"== python -m {module} baseline,baseline-s43 blip2,blip2-s43" in done.stdout
    assert (finished.root / "params.yaml").read_text(encoding="utf-8") == params
    assert outputs(finished) == finished.first_outputs
    again = finished.run("make", "seeds", "N=2").stdout
    assert "Nothing to train" in again
    assert "Not judged (only 2 seeds a side)" in again and "blip2 (2 seeds)" in again
    # The same recipe with two seeds: no word, whatever their answers.
    alike = finished.run("python", "-m", "recap.comparison", "blip2", "blip2-s43").stdout
    assert "the recipe is not judged" in alike.replace("\n  ", " ")
    assert not {"better:", "worse:"} & set(alike.split())


def test_make_helps_changes_scale_and_names_missing_models(tmp_path: Path) -> None:
    clone = Clone(tmp_path, profile=None)
    clone.borrow_environment()
    (targets,) = re.findall(r"(?m)^\.PHONY: (.*)", (clone.root / "Makefile").read_text())
    assert [line.split()[0] for line in clone.run("make", "help").stdout.splitlines()] == targets.split()
    clone.run("bash", "-c", "source .venv/bin/activate && dvc --version")
    clone.run("make", "models")
    tiny = (clone.root / "params.yaml").read_text()
    which = clone.run("make", "profile", check=False)
    assert which.returncode != 0
    names = " ".join(sorted(profile.stem for profile in (clone.root / "profiles").glob("*.yaml")))
    assert f"error: which profile? make profile P=NAME, where NAME is one of: {names}" in which.stderr
    told = clone.run("make", "profile", "P=smoke").stdout
    assert "params.yaml is now profiles/smoke.yaml; what it was is params.old-1.yaml" in told
    smoke = (clone.root / "profiles" / "smoke.yaml").read_text()
    assert (clone.root / "params.yaml").read_text() == smoke
    missing = clone.run("make", "profile", "P=mgm-2b", check=False)
    assert "make models" in missing.stdout + missing.stderr
    assert (clone.root / "params.yaml").read_text() == (clone.root / "profiles" / "mgm-2b.yaml").read_text()
    kept = [(clone.root / f"params.old-{number}.yaml").read_text() for number in (1, 2)]
    assert kept == [tiny, smoke] and clone.run("git", "status", "--short").stdout == " M params.yaml\n"
    counted = clone.run("make", "rehearse", "P=smoke", "FLAGS=--own-settings").stdout
    assert "Peak memory of one device" in counted and "finetune micro-batch 4" in counted
    unknown = clone.run("make", "profile", "P=nothing", check=False)
    assert unknown.returncode != 0 and "no such profile; there are: " in unknown.stderr


def test_branches_compare(finished: Clone) -> None:
    finished.run("make")
    finished.run("git", "branch", "first", "main")
    finished.dvc("exp", "branch", "baseline", "raw-data")
    diff = json.loads(finished.dvc("metrics", "diff", "--json", "first", "raw-data").stdout)
    assert "loss_final" in str(diff["metrics/pretrain.json"])


@pytest.mark.parametrize("kind", ["folder", *(pytest.param(kind, marks=ON_DEMAND) for kind in ("ssh", "s3", "http"))])
def test_what_an_author_shares_a_stranger_has(finished: Clone, kind: str, tmp_path: Path) -> None:
    """Every remote after the folder is reached by .dvc/config.local, as if .dvc/config said so."""
    finished.run("make")
    finished.run("git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "origin.git"))
    finished.run("git", "remote", "add", kind, str(tmp_path / "origin.git"))
    with SERVERS[kind](finished.root.parent / "remote" if kind == "folder" else tmp_path / "remote") as served:
        # Nobody pushes over HTTP: the author reaches the folder that the web server hands out.
        log_in(finished, Served(str(served.objects)) if kind == "http" else served)
        author = Steps(f"{kind}, author", finished)
        told = author.run("make", "share", f"GIT_REMOTE={kind}").stdout
        assert 'make pull RUNS="baseline blip2"' in told and "make compare A=baseline B=blip2" in told
        (finished.root / ".dvc" / "config.local").unlink()

        stranger = Clone.of_remote(str(tmp_path / "origin.git"), tmp_path / "stranger")
        assert not (stranger.root / ".dvc" / "cache").exists() and not (stranger.root / "models" / "merged").exists()
        stranger.borrow_environment()
        log_in(stranger, served, address=kind != "folder")
        steps = Steps(f"{kind}, stranger", stranger)
        steps.run("make", "pull")
        steps.weigh("make pull")
        done = steps.run("dvc", "repro")
        assert ran(done) == [] and "up to date" in done.stdout
        assert outputs(stranger) == finished.first_outputs
        diff = json.loads(steps.run("dvc", "metrics", "diff", "--json", "baseline", "blip2").stdout)
        assert "loss_final" in str(diff["metrics/pretrain.json"])
        verdict = steps.run("make", "compare", "A=baseline", "B=blip2").stdout
        assert "Not judged (one seed a side)" in verdict
        steps.sum()
        assert "Nothing to do" in stranger.run("make").stdout
        params = stranger.root / "params.yaml"
        params.write_text(params.read_text(encoding="utf-8").replace("\nrecipe: blip2", "\nrecipe: baseline"))
        if kind != "http":  # over which DVC has no run-cache
            assert ran(stranger.run("dvc", "repro")) == []

        curious = Clone.of_remote(str(tmp_path / "origin.git"), tmp_path / "curious")
        curious.borrow_environment()
        log_in(curious, served, address=kind != "folder")
        scores = Steps(f"{kind}, scores alone", curious)
        scores.run("make", "pull-scores")
        assert json.loads(scores.run("dvc", "metrics", "diff", "--json", "baseline", "blip2").stdout) == diff
        assert scores.run("make", "compare", "A=baseline", "B=blip2").stdout == verdict
        scores.weigh("make pull-scores and make compare")
        scores.sum()
        assert not (curious.root / "models" / "merged").exists()
    print("", *author.told, *steps.told, *scores.told, sep="\n")


def test_a_run_killed_in_every_long_stage_ends_the_same(finished: Clone, tmp_path: Path) -> None:
    killed = Clone(tmp_path / "Anna's own copy")
    for stage, sign in (
        ("caption", ".dvc/recap-store/store.sqlite"),
        ("pretrain", ".scratch/pretrain/*/checkpoint-*/trainer_state.json"),
        # Of this one dvc alone is killed: the stage saves, and `repro` waits for it.
        ("finetune", ".scratch/finetune/*/checkpoint-*/trainer_state.json"),
        ("answer@mmbench", ".scratch/answer@mmbench/*/replies.jsonl"),
    ):
        killed.kill_when(sign, "repro", stage, only_dvc=stage == "finetune")
        assert any(killed.root.glob(sign)), "the work done so far is gone"
    killed.dvc("repro")
    assert outputs(killed) == finished.first_outputs


def test_a_misspelt_parameter_stops_before_any_work(finished: Clone) -> None:
    path = finished.root / "params.yaml"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("dropout: 0.1", "dropuot: 0.1").replace("seed: 42", "seed: 43"), encoding="utf-8")
    done = finished.run("python", "stages/finetune.py", *_finetune_flags(finished), check=False)
    path.write_text(good, encoding="utf-8")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: params.yaml: 2 problem(s): lora.dropout: missing")


def _finetune_flags(clone: Clone) -> list[str]:
    command = (clone.root / "dvc.yaml").read_text(encoding="utf-8").split("recap.launch stages/finetune.py")[1]
    words = command.split("params:")[0].split()
    return [word if not word.startswith("$") else "models/tiny" for word in words]

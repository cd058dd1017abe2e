"""`make seeds`: what it trains, what it leaves behind, and which verdict it asks for."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from recap.experiments import seeds
from recap.experiments.freshness import NOT_THERE
from recap.experiments.running import Run
from recap.experiments.workspace import NOTE, kept, note_run, set_params
from recap.runtime.errors import UserError
from tests.experiments.stub_project import Project

pytestmark = pytest.mark.slow

Command = Callable[..., tuple[str, list[list[str]]]]


@pytest.fixture
def make_seeds(made: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command in the project; returns what it prints and the arguments of the verdicts that it asks for.

    The verdict itself needs scores, which this project has none of; the whole command is in tests/test_experiment.py.
    """
    monkeypatch.chdir(made.root)
    for name in ("HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, made.env[name])

    def run(count: int = 2, *recipes: str) -> tuple[str, list[list[str]]]:
        asked: list[list[str]] = []

        def record(command: list[str], check: bool) -> SimpleNamespace:
            asked.append(command[2:])
            return SimpleNamespace(returncode=0)

        monkeypatch.setattr(sys, "argv", ["seeds", "--seeds", str(count), *(recipes or ("baseline", "blip2"))])
        monkeypatch.setattr(seeds, "subprocess", SimpleNamespace(run=record))
        seeds.main()
        return capfd.readouterr().out, asked

    return run


def test_missing_seeds_are_trained_and_the_workspace_is_the_headline_runs(made: Project, make_seeds: Command) -> None:
    before, params = made.experiments(), made.read("params.yaml")
    told, asked = make_seeds(2)
    assert made.trained() == ["baseline 43", "blip2 43"]
    assert (
        "baseline: seed 42, up to date\nblip2: seed 42, up to date\nbaseline-s43: seed 43, to train: not there" in told
    )
    assert "2 to train, about 3 minutes by the timings in data/timings." in told
    note = "note: fewer than 3 seeds a side, found N=2, give no verdict"
    assert told.index("2 to train") < told.index(note) < told.index("== experiment baseline-s43")
    sides = ["baseline,baseline-s43", "blip2,blip2-s43"]
    assert asked == [["recap.comparison", *sides], ["recap.reporting.comparison", *sides]]
    assert before.items() <= made.experiments().items()
    assert [made.loss_of(made.experiment(name)) for name in ("baseline-s43", "blip2-s43")] == [43.1, 43.1]
    assert made.read("reports/blip2-s43.html").startswith("<!doctype html> blip2 43")

    assert made.read("params.yaml") == params == made.read("models/merged/weights")[2:]
    assert "42.1" in made.read("metrics/pretrain.json")
    assert made.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "Nothing to do" in made.make().stdout

    told, asked = make_seeds(2)
    assert made.trained() == [] and "Nothing to train: every seed is up to date." in told and len(asked) == 2


def test_a_changed_parameter_retrains_every_seed(made: Project, make_seeds: Command) -> None:
    make_seeds(2)
    made.trained()
    made.edit("params.yaml", "  r: 16 ", "  r: 8 ")
    told, _ = make_seeds(2)
    assert "baseline-s43: seed 43, to train: other parameters: lora" in told
    assert "4 to train, at least 6 minutes" in told
    assert made.trained() == ["baseline 42", "blip2 42", "baseline 43", "blip2 43"]


def test_a_seed_that_failed_is_all_that_is_left_to_do(made: Project, make_seeds: Command) -> None:
    params = made.read("params.yaml")
    made.write("broken", "blip2 43\n")
    with pytest.raises(UserError, match="experiment blip2-s43 stopped with exit code 255"):
        make_seeds(2)
    assert made.trained() == ["baseline 43", "blip2 43"]
    assert made.read("params.yaml") == params
    (made.root / "broken").unlink()
    told, _ = make_seeds(2)
    assert made.trained() == ["blip2 43"] and "baseline-s43: seed 43, up to date" in told
    assert made.read("params.yaml") == params == made.read("models/merged/weights")[2:]


def test_the_seed_of_a_killed_run_is_not_taken_for_the_users(made: Project, make_seeds: Command) -> None:
    params = made.read("params.yaml")
    with kept():
        note_run(Run("blip2-s43", "blip2", 43))
        set_params("blip2", 43)
        note = NOTE.read_text(encoding="utf-8")
    # As a kill leaves it: no one has tidied up.
    NOTE.write_text(note, encoding="utf-8")
    told, _ = make_seeds(1)
    assert made.trained() == [] and "blip2: seed 42, up to date" in told
    assert made.read("params.yaml") == params and not NOTE.exists()

    set_params("blip2", 50)
    NOTE.write_text(note, encoding="utf-8")
    told, _ = make_seeds(1)
    assert "blip2: seed 50, to train: other parameters: seed" in told, "a seed that the user wrote since then stays"


def test_the_first_seed_is_the_parameter_files() -> None:
    assert seeds.seed_runs("blip2", 7, 3) == [
        Run("blip2", "blip2", 7), Run("blip2-s8", "blip2", 8), Run("blip2-s9", "blip2", 9),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stale", "about"),
    [
        ({"blip2-s43": NOT_THERE}, "about"),
        ({"blip2-s43": "other parameters: lora"}, "at least"),
        # What comes before the seed is to be made too.
        ({"blip2": NOT_THERE, "blip2-s43": NOT_THERE}, "at least"),
    ],
)
def test_timings_of_seeds_are_a_lower_bound_where_more_than_seeds_is_new(
    monkeypatch: pytest.MonkeyPatch, stale: dict[str, str], about: str
) -> None:
    runs = [Run(name, name[:5], 42) for name in ("baseline", "blip2", "baseline-s43", "blip2-s43")]
    monkeypatch.setattr(seeds, "experiment_commit", lambda baseline, name: "abc")
    monkeypatch.setattr(seeds, "seed_minutes", lambda commit: 7)
    told = seeds.estimate(runs, {run: stale[run.name] for run in runs if run.name in stale}, "base", sides=2)
    assert told == f"{len(stale)} to train, {about} {7 * len(stale)} minutes by the timings in data/timings."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((0,), "expected at least one seed a side, found 0"),
        ((3, "blip2", "blip2"), "expected two recipes, found blip2 twice"),
        ((3, "blip2", "blop"), "recipes/blop.yaml: expected a recipe, found nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(make_seeds: Command, arguments: tuple, told: str) -> None:
    with pytest.raises(UserError, match=told):
        make_seeds(*arguments)

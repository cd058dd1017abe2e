"""`make placebo`: what it trains, what it leaves behind, and the table that it prints and keeps."""

import sys
from collections.abc import Callable

import pytest

from recap.experiments import placebo
from recap.io import read_object
from recap.runtime.errors import UserError
from tests.experiments.stub_project import Project

pytestmark = pytest.mark.slow

Command = Callable[..., str]
PLACEBOS = ["shuffled", "length_matched", "other_image"]


@pytest.fixture
def make_placebo(made: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command in the project; returns what it prints.

    The table itself needs scores, which this project has none of: it lists what it was asked to compare.
    """
    monkeypatch.chdir(made.root)
    for name in ("HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, made.env[name])
    monkeypatch.setattr(placebo, "arms_document", lambda names, placebos: {"names": names, "placebos": list(placebos)})
    monkeypatch.setattr(placebo, "arms_text", lambda document: f"table of {document['names']}")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["placebo", *arguments])
        placebo.main()
        return capfd.readouterr().out

    return run


def test_placebos_are_trained_beside_what_is_there(made: Project, make_placebo: Command) -> None:
    before, params = made.experiments(), made.read("params.yaml")
    told = make_placebo()
    assert made.trained() == [f"{recipe} 42" for recipe in PLACEBOS]
    assert "baseline: seed 42, up to date\nblip2: seed 42, up to date\nshuffled: seed 42, to train: not there" in told
    assert "note: fewer than 3 seeds a recipe, found N=1, give no words" in told
    assert before.items() <= made.experiments().items() and len(made.experiments()) == 5
    assert made.read("reports/shuffled.html").startswith("<!doctype html> shuffled 42")
    # The workspace is the headline run's, as `make` leaves it.
    assert made.read("params.yaml") == params == made.read("models/merged/weights")[2:]
    names = {recipe: [recipe] for recipe in ("baseline", "blip2", *PLACEBOS)}
    assert read_object(made.root / "docs/results/placebo.json") == {"names": names, "placebos": PLACEBOS}
    assert told.splitlines()[-3] == f"table of {names}"

    told = make_placebo()
    assert made.trained() == [] and "Nothing to train: every seed is up to date." in told
    assert made.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert make_placebo("--show") == f"table of {names}\n" and made.trained() == []


def test_one_that_failed_is_all_that_is_left_to_do(made: Project, make_placebo: Command) -> None:
    made.write("broken", "length_matched 42\n")
    with pytest.raises(UserError, match="experiment length_matched stopped with exit code 255"):
        make_placebo()
    assert made.trained() == ["shuffled 42", "length_matched 42"]
    (made.root / "broken").unlink()
    make_placebo()
    assert made.trained() == ["length_matched 42", "other_image 42"]


def test_seeds_are_those_of_make_seeds(made: Project, make_placebo: Command) -> None:
    told = make_placebo("--seeds", "2")
    trained = [*(f"{recipe} 42" for recipe in PLACEBOS), *(f"{arm} 43" for arm in ("baseline", "blip2", *PLACEBOS))]
    assert made.trained() == trained and "8 to train, at least 12 minutes" in told
    assert set(read_object(made.root / "docs/results/placebo.json")["names"]["blip2"]) == {"blip2", "blip2-s43"}


def test_what_makes_no_sense_is_refused(made: Project, make_placebo: Command) -> None:
    with pytest.raises(UserError, match="expected at least one seed a recipe, found 0"):
        make_placebo("--seeds", "0")
    with pytest.raises(UserError, match=r"docs/results/placebo\.json: expected a JSON file, found nothing"):
        make_placebo("--show")
    (made.root / "recipes/shuffled.yaml").unlink()
    with pytest.raises(UserError, match=r"recipes/shuffled\.yaml: expected a recipe, found nothing"):
        make_placebo()

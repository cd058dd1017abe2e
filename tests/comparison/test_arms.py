"""Several recipes against one: the table, words from three seeds on, and what a placebo says of a gain."""

import json
import shutil

import pytest
import runs_repository
from runs_repository import commit_run

from recap.comparison.arms import arms_document, arms_text, sentences

# Gains on TextVQA like blip2's, and on nothing else: that gain was not content.
PLACEBO_SKILL = {"textvqa": 0.7, "mmbench": 0.5, "gqa": 0.4}


@pytest.fixture(scope="module")
def folder(runs, tmp_path_factory):
    """The repository with runs of a placebo beside those of `baseline` and `blip2`."""
    copy = shutil.copytree(runs, tmp_path_factory.mktemp("arms") / "copy", symlinks=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(runs_repository.SKILL, "shuffled", PLACEBO_SKILL)
        for seed in (3, 2, 1):
            commit_run(copy, "shuffled" if seed == 1 else f"shuffled-s{seed}", "shuffled", seed)
    return copy


@pytest.fixture
def document(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def of(seeds: int) -> dict:
        names = {
            recipe: [recipe, *(f"{recipe}-s{seed}" for seed in range(2, seeds + 1))]
            for recipe in ("baseline", "blip2", "shuffled")
        }
        return arms_document(names, ["shuffled"])

    return of


def test_three_seeds_give_words_and_tell_content_from_its_placebo(document):
    found = document(3)
    assert json.loads(json.dumps(found)) == found
    words = {
        arm: {name: cell["word"] for name, cell in of["against_base"].items()} for arm, of in found["arms"].items()
    }
    assert words["baseline"] == {}
    assert words["blip2"] == {"textvqa": "better", "mmbench": "worse", "gqa": words["blip2"]["gqa"]}
    assert words["shuffled"]["textvqa"] == "better" and words["shuffled"]["mmbench"] != "better"
    assert "textvqa: blip2 is better than baseline, and so is the placebo shuffled." in sentences(found)
    text = arms_text(found)
    assert "A gain over baseline that a placebo shows too was not content." in text
    head, base, *_ = text.splitlines()
    assert head.split() == ["recipe", "seeds", "rows", "val_loss", "textvqa", "%", "mmbench", "%", "gqa", "%"]
    assert base.split()[:4] == ["baseline", "3", "-", "-"], "these runs have neither rows nor a loss"
    cell = found["arms"]["blip2"]["against_base"]["textvqa"]
    assert cell["low"] < cell["difference"] < cell["high"]
    accuracy = {arm: of["accuracy"]["textvqa"] for arm, of in found["arms"].items()}
    assert accuracy["blip2"] - accuracy["baseline"] == pytest.approx(cell["difference"], abs=1e-3)


def test_one_seed_gives_no_words(document):
    found = document(1)
    assert not found["judged"]
    assert {cell["word"] for arm in found["arms"].values() for cell in arm["against_base"].values()} == {None}
    text = arms_text(found)
    assert "Against baseline" not in text and "better" not in text
    assert "Fewer than 3 seeds a recipe: numbers of runs, and no word on recipes." in text


def arms(blip2: str, placebo: str) -> dict:
    def arm(word: str | None, *, placebo: bool = False) -> dict:
        cell = {"word": word, "difference": 1.0, "low": 0.5, "high": 1.5}
        return {
            "placebo": placebo, "runs": [{}] * 3, "rows": 2400.0, "val_loss": 0.25, "accuracy": {"gqa": 50.0},
            "against_base": {"gqa": cell} if word else {},
        }  # fmt: skip

    named = {"baseline": arm(None), "blip2": arm(blip2), "shuffled": arm(placebo, placebo=True)}
    return {"base": "baseline", "judged": True, "arms": named}


def test_a_gain_that_no_placebo_shows():
    found = sentences(arms("better", "can't tell"))
    assert found[-1] == "gqa: blip2 is better than baseline, and no placebo is."


def test_a_placebo_alone_is_no_gain_of_content():
    assert len(sentences(arms("can't tell", "better"))) == 2


def test_the_table_has_rows_and_loss_where_they_are_known():
    assert arms_text(arms("better", "worse")).splitlines()[3].split() == [
        "shuffled", "(placebo)", "3", "2,400", "0.250", "50.0"
    ]  # fmt: skip

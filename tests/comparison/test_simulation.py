"""The simulation draws what it says; and, slowly, the verdict keeps its promises where the truth is known."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from recap.comparison import simulation
from recap.comparison.simulation import BENCHMARKS, SETTINGS, TRIALS, Outcome, Setting, draw, simulate
from recap.io import read_json

STORED = Path(__file__).parents[2] / "docs/results/simulation.json"


def test_the_true_effect_is_the_one_asked_for():
    setting = Setting(questions=3000, seeds_a=3, seeds_b=3, spread=2.0)
    pairs = list(draw(setting, 200, np.random.default_rng(0), shift=setting.shift_for(7.0)))
    found = 100 * np.array([b.mean() - a.mean() for a, b in pairs])
    # A difference of means of three runs with a spread of 2 points each: 1.6 and a little for questions; over 200.
    assert found.mean() == pytest.approx(7.0, abs=0.5)
    assert found.std() == pytest.approx(np.sqrt(2 * 2.0**2 / 3), rel=0.25)


def test_spread_is_that_of_a_runs_mean():
    setting = Setting(questions=3000, seeds_a=5, seeds_b=3, spread=4.0)
    runs = np.array([100 * a.mean(axis=0) for a, _ in draw(setting, 200, np.random.default_rng(1))])
    # Beside the seeds, the noise of 3,000 questions moves a run by half a point about its siblings.
    assert np.sqrt(runs.var(axis=1, ddof=1).mean()) == pytest.approx(4.0, rel=0.1)


def test_a_drawn_benchmark_is_like_vqa():
    setting = Setting(questions=600, seeds_a=3, seeds_b=5, spread=0.0)
    a, b = next(draw(setting, 1, np.random.default_rng(2)))
    assert (a.shape, b.shape) == ((600, 3), (600, 5))
    values, counts = np.unique(a, return_counts=True)
    assert values == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert counts / a.size == pytest.approx([0.40, 0.06, 0.06, 0.48], abs=0.06)
    assert np.unique(np.bincount(setting.clusters), return_counts=True)[1].tolist() == [200, 200]
    # Runs of one recipe agree more than runs of two, and questions of one image more than those of two.
    assert np.corrcoef(a[:, 0], a[:, 1])[0, 1] > np.corrcoef(a[:, 0], b[:, 1])[0, 1] > 0.2
    two = np.flatnonzero(np.diff(setting.clusters) == 0)
    assert np.corrcoef(a[two, 0], a[two + 1, 0])[0, 1] > 0.1


def test_the_same_seed_gives_the_same_counts():
    setting = Setting(questions=60, seeds_a=3, seeds_b=3, spread=1.4)
    assert simulate(setting, trials=5) == simulate(setting, trials=5)
    assert simulate(setting, trials=5) != simulate(setting, trials=5, seed=1)


def test_one_seed_a_side_prints_no_word_however_far_seeds_spread():
    outcome = simulate(Setting(questions=320, seeds_a=1, seeds_b=1, spread=8.0), trials=40)
    assert (outcome.words, outcome.detectable, outcome.found) == (0, None, None)
    # An interval over questions does not hold the recipes' difference, which is why there is no word.
    assert outcome.covered < 60


def test_the_command_prints_a_table_and_writes_json(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(simulation, "SETTINGS", [Setting(60, 3, 5, 1.4), Setting(60, 1, 1, 1.4)])
    monkeypatch.setattr(sys, "argv", ["simulation", "--trials", "4", "--json", str(tmp_path / "counts.json")])
    simulation.main()
    head, _, three, one = capsys.readouterr().out.splitlines()
    assert head == (
        "| questions | seeds a side | spread, points | coverage, % | coverage at an effect, % | false words, % "
        "| detectable, points | found, % |"
    )
    assert three.startswith("| 60 | 3 and 5 | 1.4 | ")
    assert one.startswith("| 60 | 1 (not judged) | 1.4 | ") and one.endswith(" | - | 0.0 | - | - |")
    written = json.loads((tmp_path / "counts.json").read_text())
    assert written["benchmarks"] == BENCHMARKS
    assert [line["setting"]["seeds_b"] for line in written["settings"]] == [5, 1]


def test_the_stored_table_is_of_these_settings_and_keeps_the_promises():
    stored = [Outcome(**{**line, "setting": Setting(**line["setting"])}) for line in read_json(STORED)["settings"]]
    assert [(outcome.setting, outcome.trials) for outcome in stored] == [(setting, TRIALS) for setting in SETTINGS]
    for outcome in stored:
        assert_kept(outcome)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", SETTINGS, ids=lambda s: f"n{s.questions}-S{s.seeds_a}-{s.seeds_b}-spread{s.spread:g}"
)
def test_promises_hold_where_the_truth_is_known(setting):
    """The table that the command prints. Of 2,000 trials, chance moves a share of false words by half a point."""
    assert_kept(simulate(setting))


def assert_kept(outcome):
    if not outcome.setting.judged:
        assert (outcome.words, outcome.found) == (0, None)
        return
    assert 93 <= outcome.covered <= 98.5
    assert 93 <= outcome.covered_effect <= 98.5
    assert outcome.words <= 6
    assert 72 <= outcome.found <= 88

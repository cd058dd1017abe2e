"""Flips by hand: two runs against three, and types of question."""

import numpy as np
import pytest

from recap.comparison.flips import Flips, count_flips
from recap.comparison.scores import PairedScores


def scores(a, b, groups):
    a, b = np.array(a, dtype=float), np.array(b, dtype=float)
    return PairedScores(a, b, None, None, np.arange(len(a)), groups)


def test_flips_by_hand():
    yes, other = {"answer_type": "yes/no"}, {"answer_type": "other", "source": "web"}
    found = count_flips(
        scores(
            # Right from 0.5 on. Of the six pairs of runs: q0 gains in 3 x 1, loses in none; q1 gains in all six; q2
            # loses in 2 x 2; q3 stays wrong.
            [[0, 1], [0.3, 0.4], [0.5, 1], [0, 0]],
            [[1, 0.6, 0.5], [1, 1, 1], [0, 1, 0.4], [0, 0.3, 0]],
            [yes, other, other, yes],
        )
    )
    assert found == [
        Flips("all", "all", 4, pytest.approx(3 / 6 + 1), pytest.approx(4 / 6)),
        Flips("answer_type", "other", 2, pytest.approx(1), pytest.approx(4 / 6)),
        Flips("answer_type", "yes/no", 2, pytest.approx(3 / 6), 0),
        Flips("source", "web", 2, pytest.approx(1), pytest.approx(4 / 6)),
    ]


def test_flips_of_one_run_a_side_are_whole_questions():
    whole, _ = count_flips(scores([[0], [1], [1], [0]], [[1], [0], [1], [0]], [{"kind": "x"}] * 4))
    assert (whole.questions, whole.gained, whole.lost) == (4, 1, 1)

"""Sentences that a whole comparison does not always give rise to."""

import pytest

from recap.comparison.flips import Flips
from recap.comparison.revisions import Revision
from recap.comparison.sentences import flips_heading, notes, points_more
from recap.comparison.sides import Side
from recap.comparison.statistics import Difference, Variances
from recap.comparison.tables import flip_rows
from recap.comparison.verdict import Verdict


@pytest.mark.parametrize(
    ("difference", "alone", "against"),
    [
        (31.94, "31.9 points more", "31.9 points more than x"),
        (-2.0, "2.0 points fewer", "2.0 points fewer than x"),
        (0.04, "as many questions", "as many questions as x"),
        (-0.04, "as many questions", "as many questions as x"),
        (0, "as many questions", "as many questions as x"),
    ],
)
def test_more_fewer_and_as_many(difference, alone, against):
    assert points_more(difference) == alone
    assert points_more(difference, than="x") == against


@pytest.mark.parametrize(("types", "cut"), [(5, False), (6, True)])
def test_types_that_are_left_out_are_told(types, cut):
    side = Side([Revision("x", None, {}, {}, {}, {}, None, {})])
    difference = Difference(12, 12, 0, 0, 0, 0, Variances(1, 12, (1, 1), (0, 0), (0, 0)), "none", 1)
    flips = [Flips("all", "all", 12, 9, 0), *(Flips("kind", str(n), 2, n, 0) for n in range(types))]
    verdict = Verdict("gqa", None, None, difference, None, flips, "")
    heading = flips_heading(side, side, [verdict])
    assert heading.endswith("; the 5 types with the most flips") == cut
    listed = [row[1] for row in flip_rows([verdict])[1:]]
    assert listed == ["all", *(f"kind: {n}" for n in reversed(range(types)))][:6]


@pytest.mark.parametrize("convention", ["plain accuracy, as the file lacks rotations; exact matching", "circular"])
def test_a_verdict_says_that_mmbench_is_plain_accuracy(convention):
    details = {"mmbench.convention": convention}
    side = Side([Revision("x", None, {}, {"mmbench.accuracy": 1.0}, details, {}, None, {"mmbench": {}})])
    difference = Difference(12, 12, 0, 0, 0, 0, Variances(1, 12, (1, 1), (0, 0), (0, 0)), "none", 1)
    said = notes(side, side, [Verdict("mmbench", None, None, difference, difference, [], "")])
    assert (f"mmbench: {convention}." in said) == convention.startswith("plain")

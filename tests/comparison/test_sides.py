"""What a side is made of, and what stands above the columns of two sides."""

import pytest

from recap.comparison.revisions import Revision
from recap.comparison.scores import ScoredQuestion
from recap.comparison.sides import headings, labels, make_side, not_judged_because
from recap.runtime.errors import UserError


def run(recipe, seed, *, model=None, scores=None):
    """`scores` are of one benchmark: (score, blank score) a question."""
    questions = {str(key): ScoredQuestion("i", *pair, "", {}) for key, pair in enumerate(scores or [])}
    params = {"recipe": recipe, "seed": seed}
    return Revision(f"{recipe}-s{seed}", f"{seed:040}", params, {}, {}, {}, model, {"gqa": questions} if scores else {})


def side(recipe, *seeds):
    return make_side([run(recipe, seed) for seed in seeds])


def test_one_run_is_called_by_its_name_and_several_by_their_recipe_and_number():
    assert headings(side("baseline", 42), side("blip2", 42, 43, 44)) == ("baseline-s42", "blip2 (3 seeds)")


def test_two_sides_of_one_recipe_are_told_apart():
    a, b = side("blip2", 42, 43, 44), side("blip2", 45, 46, 47)
    assert labels(a, b) == ("A: blip2", "B: blip2")
    assert headings(a, b) == ("A: blip2 (3 seeds)", "B: blip2 (3 seeds)")


def test_runs_are_in_the_order_of_their_seeds():
    assert [run.seed for run in side("blip2", 100, 9, 42).runs] == [9, 42, 100]


def test_why_recipes_are_not_judged():
    one, two, three = side("a", 1), side("a", 1, 2), side("b", 1, 2, 3)
    assert not_judged_because(one, one) == "one seed a side"
    assert not_judged_because(two, two) == "only 2 seeds a side"
    assert not_judged_because(one, three) == "only 1 and 3 seeds"
    assert not_judged_because(three, three) is None


@pytest.mark.parametrize(
    "copied",
    [
        {"model": "abc", "scores": [(1, 0), (0, None)]},
        {"model": "abc"},
        {"scores": [(1, 0), (0, None)]},
    ],
)
def test_one_run_under_two_seeds_is_refused(copied):
    runs = [run("a", 1, **copied), run("a", 2, model="def", scores=[(1, 1), (0, 0)]), run("a", 3, **copied)]
    with pytest.raises(UserError, match=r"found that seeds 1 and 3 are the same run \(a-s1, a-s3\)"):
        make_side(runs)


@pytest.mark.parametrize(
    "other",
    [
        {"scores": [(1, 0), (1, None)]},
        {"scores": [(1, 1), (0, None)]},
        {"model": "def", "scores": [(1, 0), (0, None)]},
    ],
)
def test_runs_that_differ_are_a_side(other):
    """Other scores, other blank scores; or the same scores from another model."""
    assert len(make_side([run("a", 1, model="abc", scores=[(1, 0), (0, None)]), run("a", 2, **other)]).runs) == 2

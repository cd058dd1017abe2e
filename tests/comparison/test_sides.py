"""What stands above the columns of two sides."""

from recap.comparison.revisions import Revision
from recap.comparison.sides import headings, labels, make_side, not_judged_because


def side(recipe, *seeds):
    return make_side(
        [
            Revision(f"{recipe}-s{seed}", f"{seed:040}", {"recipe": recipe, "seed": seed}, {}, {}, {}, {})
            for seed in seeds
        ]
    )


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

"""What would settle it: errors of other sizes by hand, and advice that keeps what it promises."""

import re

import pytest

from recap.comparison.settling import resized, what_settles
from recap.comparison.statistics import Difference, Variances, detectable


def variances(*, items, seeds=(0.0, 0.0), residual=(0.0, 0.0), runs=(3, 3), images=200):
    return Variances(items=items, images=images, runs=runs, seeds=seeds, residual=residual)


def difference(points, parts, *, changed=150, comparisons=5, no_interval=None):
    return Difference(320, parts.images, changed, 50, 50 + points, points, parts, no_interval, comparisons)


def test_resizing_by_hand():
    # Items 4 = 3 for the choice of questions + 1 of noise; seeds 3 = 2 beyond the noise + 1.
    parts = variances(items=4, seeds=(2, 1), residual=(0.5, 0.5))
    assert resized(parts).total == pytest.approx(parts.total) == 6
    # Twice the questions halve choice and noise; what seeds add stays.
    doubled = resized(parts, times_the_questions=2)
    assert (doubled.items, doubled.beyond_residual, doubled.images) == pytest.approx((2, 2, 400))
    # Twice the seeds halve what seeds add, and the noise.
    six = resized(parts, seeds=6)
    assert (six.items, six.beyond_residual, six.runs) == (pytest.approx(3.5), pytest.approx(1), (6, 6))


def numbers(sentence, pattern):
    return int(re.search(pattern, sentence)[1].replace(",", ""))


def test_either_seeds_or_questions():
    parts = variances(items=4, seeds=(1, 1), residual=(0.8, 0.8))
    found = difference(6, parts)
    sentence = what_settles(found, told=False)
    assert re.fullmatch(
        r"A new comparison planned at \d+ seeds a side, or with [\d,]+ questions, would show 6\.0 points\.", sentence
    )
    seeds, questions = numbers(sentence, r"(\d+) seeds"), numbers(sentence, r"([\d,]+) questions")
    assert detectable(resized(parts, seeds=seeds), 5) <= 6 < detectable(resized(parts, seeds=seeds - 1), 5)
    times = questions / 320
    assert detectable(resized(parts, times_the_questions=times), 5) <= 6
    assert detectable(resized(parts, times_the_questions=times * 0.85), 5) > 6


def test_questions_cannot_settle_what_seeds_hide():
    sentence = what_settles(difference(6, variances(items=1, seeds=(9, 9))), told=False)
    assert re.fullmatch(
        r"A new comparison planned at \d+ seeds a side would show 6\.0 points; "
        r"up to 32,000 questions with 3 seeds a side do not\.",
        sentence,
    )


def test_unequal_sides_are_made_equal_first():
    """Two more runs of A alone are enough here."""
    parts = variances(items=1, seeds=(6, 1), runs=(3, 5))
    target = detectable(resized(parts, seeds=5), 5)
    assert detectable(parts, 5) > target + 0.1 > target > detectable(resized(parts, seeds=6), 5)
    sentence = what_settles(difference(target + 0.05, parts), told=False)
    assert sentence.startswith("A new comparison planned at 5 seeds a side would show")
    assert sentence.endswith("questions with 3 and 5 seeds do not.")


def test_more_seeds_take_none_from_the_other_side():
    # Seeds add 7 - 2.5 of 7; of the 1 of B, which keeps its five runs, as large a share, beside its noise.
    resized_parts = resized(variances(items=1, seeds=(6, 1), residual=(2, 0.5), runs=(2, 5)), seeds=3)
    assert resized_parts.runs == (3, 5)
    assert (resized_parts.seeds[1], resized_parts.residual[1]) == pytest.approx((8 / 7, 0.5))


def test_seeds_cannot_settle_what_questions_hide():
    sentence = what_settles(difference(3, variances(items=9, seeds=(0.01, 0.01))), told=False)
    assert re.fullmatch(
        r"A new comparison planned with [\d,]+ questions would show 3\.0 points; "
        r"30 seeds a side on these 320 do not\.",
        sentence,
    )


def test_both_at_once_and_nothing_at_all():
    both = what_settles(difference(6, variances(items=9, seeds=(9, 9), residual=(1, 1))), told=False)
    assert re.fullmatch(
        r"A new comparison planned at \d+ seeds a side with [\d,]+ questions would show 6\.0 points; "
        r"neither does alone\.",
        both,
    )
    nothing = what_settles(difference(0.2, variances(items=9, seeds=(90, 90))), told=False)
    assert nothing == "Nothing up to 30 seeds a side and 32,000 questions would show 1.0 points."


def test_what_is_settled_already():
    assert what_settles(difference(30, variances(items=4)), told=True).startswith("Settled: questions and seeds")
    precise = difference(-0.3, variances(items=0.1))
    assert -1 < precise.interval[0] < -0.9
    assert what_settles(precise, told=False) == "Settled: the interval excludes a difference above 1.0 points."


def test_a_difference_that_would_mostly_be_found_is_not_settled():
    powerful = difference(-0.6, variances(items=0.0625))
    assert detectable(powerful.variances, 5) < 1 < -powerful.interval[0]
    assert what_settles(powerful, told=False) == (
        "A difference of 1.0 points would be found four times in five; the interval reaches beyond it."
    )


def test_too_few_seeds_ask_for_three():
    one = difference(30, variances(items=4, runs=(1, 1)))
    assert what_settles(one, told=False).startswith("At least 3 seeds a side: how far seeds move this difference")
    parts = variances(items=4, seeds=(2, 2), residual=(1, 1), runs=(2, 2))
    shown = detectable(resized(parts, seeds=3), 5)
    assert what_settles(difference(30, parts), told=False) == (
        f"At least 3 seeds a side, which would show about {shown:.1f} points."
    )


@pytest.mark.parametrize(("changed", "questions"), [(7, "460"), (1, "3,200"), (9, "360")])
def test_too_few_changes_ask_for_questions(changed, questions):
    found = difference(1, variances(items=4), changed=changed, no_interval="few")
    assert what_settles(found, told=False) == f"At least {questions} such questions, so that 10 images would change."
    unjudged = difference(1, variances(items=4, runs=(1, 1)), changed=changed, no_interval="few")
    assert what_settles(unjudged, told=False).startswith(f"At least 3 seeds a side, and at least {questions} such")


def test_no_change_at_all():
    found = difference(0, variances(items=0), changed=0, no_interval="none")
    assert what_settles(found, told=False) == "Other questions: both sides score alike on every image."


def test_every_image_changed_alike():
    found = difference(100, variances(items=0), no_interval="alike")
    assert what_settles(found, told=False) == "Other questions: every image changed alike."

"""What an operator decided by: the statistic, quantiles before and after, and the side on which rows fell out."""

import pytest

from recap.data.processing.decisions import NO_DECISION, decide


def test_one_statistic() -> None:
    words = {"num_words": [1, 2, 3, 4, 5, 6, 7, 90, 100]}
    decision = decide("words_num_filter", list("abcdefghi"), list("cdefg"), words)
    assert decision.statistic == "num_words"
    assert decision.reasons == {"num_words low": 2, "num_words high": 2}
    assert decision.before == {"min": 1, "p5": 1.4, "p25": 3, "median": 5, "p75": 7, "p95": 96, "max": 100}
    assert decision.after == {"min": 3, "p5": 3.2, "p25": 4, "median": 5, "p75": 6, "p95": 6.8, "max": 7}
    assert decision.facts["h"] == {"num_words": 90} and set(decision.facts) == set("abhi")


def test_of_two_statistics_the_one_that_dropped_more() -> None:
    sizes = {"width": [[10], [300], [300], [300]], "height": [[300], [20], [30], [300]]}
    decision = decide("image_shape_filter", list("abcd"), ["d"], sizes)
    assert decision.reasons == {"height low": 2, "width low": 1}
    assert decision.statistic == "height" and decision.after is not None and decision.after["median"] == 300


def test_a_row_without_a_number_is_unknown() -> None:
    decision = decide("alignment_filter", list("abc"), ["a"], {"alignment": [0.5, None, 0.1]})
    assert decision.reasons == {"alignment unknown": 1, "alignment low": 1}
    assert decision.before is not None and decision.before["median"] == pytest.approx(0.3)


def test_where_no_statistic_tells_the_operator_is_the_reason() -> None:
    decision = decide("document_deduplicator", list("abc"), ["a"], {})
    assert (decision.statistic, decision.reasons) == (None, {"document_deduplicator": 2})
    assert decide("mapper", list("abc"), list("abc"), {}) == NO_DECISION
    inside = decide("reversed_filter", list("abc"), ["a", "c"], {"n": [1, 2, 3]})
    assert inside.reasons == {"reversed_filter": 1}


def test_what_a_mapper_decided_by_may_change() -> None:
    decision = decide("mapper", ["a", "b"], ["a", "b"], {"alignment": [0.1, 0.3]}, {"alignment": [0.5, None]})
    assert decision.before is not None and decision.after is not None
    assert (decision.before["median"], decision.after["median"], decision.reasons) == (0.2, 0.5, {})
    assert decision.facts == {"a": {"alignment": 0.1}, "b": {"alignment": 0.3}}

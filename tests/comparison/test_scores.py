"""Score files and the pairing of questions by key."""

import json

import pytest

from recap.comparison.scores import pair, parse_scores
from recap.runtime.errors import UserError


def row(key, score, *, blank=None, image="i.jpg", **more):
    return json.dumps({"key": key, "image": image, "score": score, "blank_score": blank, **more})


def parsed(*rows):
    return parse_scores("\n".join(rows), "x.jsonl")


def test_questions_are_paired_by_key_whatever_the_order_of_rows():
    a = parsed(row("q1", 0.1, blank=0), row("q2", 0.2, blank=0.1), row("q3", 0.3, blank=0))
    b = parsed(row("q3", 0.9, blank=0), row("q1", 0.7, blank=0), row("q2", 0.8, blank=1))
    found = pair("x", {"a": a}, {"b": b})
    assert found.a.tolist() == [[0.1], [0.2], [0.3]]
    assert found.b.tolist() == [[0.7], [0.8], [0.9]]
    assert found.blank_a.tolist() == [[0], [0.1], [0]]
    assert found.blank_b.tolist() == [[0], [1], [0]]


def test_questions_of_one_image_share_a_cluster():
    questions = parsed(row("1", 0, image="b"), row("2", 0, image="a"), row("3", 0, image="b"))
    assert pair("x", {"a": questions}, {"b": questions}).clusters.tolist() == [1, 0, 1]


def test_one_run_without_a_blank_pass_leaves_none_to_compare():
    with_blank, without = parsed(row("q", 1, blank=0)), parsed(row("q", 1))
    found = pair("x", {"a": with_blank}, {"b": with_blank, "b2": without})
    assert (found.blank_a, found.blank_b) == (None, None)


def test_groups_stay_with_their_question():
    questions = parsed(row("q2", 1, groups={"kind": "y"}), row("q1", 1, groups={"kind": "x"}), row("q3", 1))
    assert pair("x", {"a": questions}, {"b": questions}).groups == [{"kind": "x"}, {"kind": "y"}, {}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row("q", 1.5), "x.jsonl:1: expected a score from 0 to 1, found 1.5"),
        (row("q", 1, blank=-0.1), "x.jsonl:1: expected a blank_score from 0 to 1, found -0.1"),
        ('{"key": "q"}', "x.jsonl:1: expected"),
        ("[1]", "x.jsonl:1: expected"),
        (row("q", 1, groups=["x"]), "x.jsonl:1: expected"),
        (f"{row('q', 1)}\n{row('q', 0)}", "x.jsonl:2: expected every key once, found 'q' again"),
    ],
)
def test_rows_that_are_no_scores(line, message):
    with pytest.raises(UserError, match=message):
        parsed(line)

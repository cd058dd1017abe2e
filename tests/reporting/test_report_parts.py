"""Charts, samples and pictures of the report."""

import dataclasses
import re

import pytest

from recap.reporting.axes import round_axis
from recap.reporting.captions import caption_pairs
from recap.reporting.charts import HEIGHT, LEFT, MAX_POINTS, RIGHT, WIDTH, Line, _thinned, line_chart
from recap.reporting.labels import notes_on
from recap.reporting.pictures import thumbnail
from recap.reporting.run import load_run


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.9, 6.9, [0, 2, 4, 6, 8]), (3.1, 4.9, [3, 3.5, 4, 4.5, 5]), (2, 2, [2, 2.5, 3, 3.5, 4]), (0, 0, [0, 1])],
)
def test_axis_is_round(low, high, ticks):
    start, end, found = round_axis(low, high)
    assert start <= low
    assert end >= high
    assert found[0] == start
    assert found[-1] == end
    if low != high:
        assert found == pytest.approx(ticks)


def test_thinning_keeps_every_extreme():
    series = [(step, 0.0) for step in range(10_000)]
    series[7777] = (7777, 9.0)
    thinned = _thinned(series)
    assert len(thinned) <= MAX_POINTS
    assert (7777, 9.0) in thinned


def test_line_stays_inside_the_chart():
    chart = line_chart(
        [Line([(step, (step * 37) % 11 - 5.0) for step in range(1, 300)])], title="a <b>", description="c"
    )
    points = [
        tuple(map(float, point.split())) for point in re.search(r'class="raw b" d="M([^"]+)"', chart)[1].split("L")
    ]
    assert min(x for x, _ in points) == LEFT
    assert max(x for x, _ in points) == WIDTH - RIGHT
    assert all(0 <= y <= HEIGHT for _, y in points)
    assert "<title>a &lt;b&gt;</title>" in chart


@pytest.mark.parametrize("series", [[(1, 2.0)], [(1, 0.0), (2, 0.0)], [(5, -1e-9), (6, 1e12)]])
def test_degenerate_series_are_drawn(series):
    assert "nan" not in line_chart([Line(series)], title="t", description="d")


def test_dropped_rows_show_every_reason(finished_run):
    operators = [pair.operator for pair in caption_pairs(load_run(finished_run)).dropped]
    assert operators[:2] == ["image_shape_filter", "words_num_filter"]
    assert len(operators) == 6


def test_samples_do_not_depend_on_the_order_of_rows(finished_run):
    run = load_run(finished_run)
    shown = caption_pairs(run)
    turned = dataclasses.replace(run, processed=list(run.processed)[::-1], dropped=list(run.dropped)[::-1])
    found = caption_pairs(turned)
    assert (found.better, found.worse, found.drawn) == (shown.better, shown.worse, shown.drawn)
    # Operators come in the recipe's order, which is their files'.
    assert {pair.id for pair in found.dropped} == {pair.id for pair in shown.dropped}
    assert len({pair.id for pair in (*shown.better, *shown.worse, *shown.drawn)}) == 20


def test_pictures_that_cannot_be_shown(tmp_path):
    assert thumbnail(tmp_path, "missing.jpg") is None
    assert thumbnail(tmp_path, "../../etc/passwd") is None
    assert thumbnail(tmp_path, "data:;base64,bm90IGFuIGltYWdl") is None
    assert thumbnail(tmp_path, "data:;base64,x") is None


def test_a_page_says_by_which_rule_mmbench_was_scored():
    plain = "plain accuracy, as the file lacks rotations; exact matching"
    assert notes_on({"gqa": "llava", "mmbench": plain}) == [
        f"MMBench: {plain}. It is higher than the circular score that papers give."
    ]
    (note,) = notes_on({"mmbench": "circular, exact matching"})
    assert "under every rotation" in note
    assert notes_on({"mmbench": None}) == [note]

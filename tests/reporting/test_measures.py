"""The funnel, the measures of quality and the spread of alignments, of this version's runs and of older ones."""

import re

import pytest
from finished_runs import write_json
from html_page import Page, part

from recap.reporting.alignment import spread_chart
from recap.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from recap.reporting.funnel import Quantile, funnel_steps
from recap.reporting.page import render
from recap.reporting.quality import Estimate, quality_measures, whole_corpora
from recap.reporting.run import Bin, load_run

OLD_STEP = {"rows_in": 40, "rows_out": 30, "dropped": 10, "changed": 0}


@pytest.fixture(scope="module")
def html(finished_run):
    return render(load_run(finished_run), None)


def test_a_step_has_its_share_its_reasons_and_its_statistic():
    reasons = {"words low": 3, "words high": 6, "words unknown": 1}
    found = OLD_STEP | {"reasons": reasons, "statistic": "words", "before": {"median": 4.0}, "after": None}
    (step,) = funnel_steps({"operators": {"words_filter": found | {"share_percent": 75.0, "added": 2}}})
    assert step.dropped_percent == 25.0 and step.added == 2
    assert step.reasons == [("words high", 6), ("words low", 3), ("words unknown", 1)]
    assert step.statistic.rows() == [Quantile("median", 4.0, None, minor=False)]


def test_steps_of_an_older_run():
    (step,) = funnel_steps({"operators": {"words_filter": OLD_STEP}})
    assert (step.dropped_percent, step.added, step.reasons, step.statistic) == (25.0, 0, [], None)
    (empty,) = funnel_steps({"operators": {"words_filter": OLD_STEP | {"rows_in": 0, "dropped": 0, "rows_out": 0}}})
    assert empty.dropped_percent == 0
    assert funnel_steps({}) is None
    assert funnel_steps({"operators": {}}) == []


def test_many_reasons_are_cut():
    (step,) = funnel_steps({"operators": {"f": OLD_STEP | {"reasons": {f"r{n}": n for n in range(1, 9)}}}})
    assert step.reasons == [("r8", 8), ("r7", 7), ("r6", 6), ("r5", 5), ("r4", 4)] and step.more_reasons == 3


def test_the_statistic_of_an_operator_is_drawn(finished_run):
    steps = {step.label: step for step in funnel_steps(load_run(finished_run).metrics["process"])}
    chart = steps["words_num_filter"].statistic.chart()
    axis = {float(value): float(place) for place, value in re.findall(r'class="tick" x="([\d.]+)%"[^>]*>(\d+)<', chart)}
    (low, left), (high, right) = min(axis.items()), max(axis.items())

    def value(place):
        return low + (float(place) - left) / (right - left) * (high - low)

    bars = re.findall(r'<line class="bar (\w)" x1="([\d.]+)%" x2="([\d.]+)%" y1="([\d.]+)" y2="\4"/>', chart)
    assert [(style, value(start), value(end)) for style, start, end, _ in bars] == [
        ("a", pytest.approx(4, abs=0.1), pytest.approx(62, abs=0.1)),
        ("b", pytest.approx(8, abs=0.1), pytest.approx(41, abs=0.1)),
    ]
    dots = [value(place) for place in re.findall(r'<circle class="dot \w" cx="([\d.]+)%"', chart)]
    assert dots == pytest.approx([11.5, 12], abs=0.1)


def test_the_funnel_on_the_page(html):
    said = Page(part(html, "section", "funnel")).words
    assert "words_num_filter num_words low (110), num_words high (8) 2,308 118 5.1 % 0 2,190" in said
    assert "Rows min 5 % 25 % median 75 % 95 % max before 1 4 9 11.5 14 62 70 behind 6 8 9 12 14 41 60" in said


def test_statistics_that_an_operator_left_as_they_were_are_not_drawn(spoilt_run):
    quantiles = {"min": 18.0, "p5": 18.5, "median": 19.0, "p95": 20.5, "max": 21.0}
    step = {"rows_in": 9, "rows_out": 9, "dropped": 0, "changed": 0, "statistic": "num_words"}
    operators = {"words_num_filter": step | {"before": quantiles, "after": quantiles}}
    write_json(spoilt_run.details / "process.json", {"process": {"operators": operators}})
    funnel = part(render(load_run(spoilt_run), None), "section", "funnel")
    assert "<svg" not in funnel
    assert "words_num_filter num_words 18 18.5 19 20.5 21" in Page(funnel).words


def test_a_recipe_that_makes_rows_of_rows_stays_inside_its_bar(spoilt_run):
    grown = OLD_STEP | {"rows_in": 2400, "rows_out": 4800, "dropped": 0, "added": 2400}
    write_json(spoilt_run.details / "process.json", {"process": {"operators": {"mapper": grown}}})
    funnel = part(render(load_run(spoilt_run), None), "section", "funnel")
    assert re.findall(r'<i style="width:([\d.]+)%">', funnel) == ["100.00"]
    assert "mapper 2,400 0 0 2,400 4,800" in Page(funnel).words


def test_measures_have_intervals_and_the_change_its_own():
    quality = {
        "sample_rows": 400,
        "before": {"mattr": {"value": 0.6, "low": 0.5, "high": 0.7}, "hdd": {"value": None, "reason": "short"}},
        "after": {"mattr": {"value": 0.8, "low": 0.7, "high": 0.9}, "hdd": {"value": 0.7}},
        "change": {"mattr": {"value": 0.2, "low": 0.15, "high": 0.25}},
    }
    mattr, hdd = quality_measures(quality)
    assert (mattr.name, mattr.label) == ("mattr", "MATTR")
    assert mattr.change == Estimate(0.2, 0.15, 0.25)
    assert hdd.before == Estimate(None, reason="short") and hdd.change == Estimate(None)


def test_measures_of_an_older_run_are_numbers():
    quality = {"before": {"ttr": 0.5, "mattr": 0.6, "own": 1}, "after": {"ttr": 0.25, "mattr": 0.6, "own": 3}}
    assert [(measure.name, measure.change.value) for measure in quality_measures(quality)] == [
        ("mattr", 0.0), ("ttr", -0.25), ("own", 2),
    ]  # fmt: skip
    assert quality_measures({}) == [] and whole_corpora({}) == []


def test_quality_on_the_page(html):
    said = Page(part(html, "section", "quality")).words
    mattr = "0.6123 0.5923 to 0.6323 0.8021 0.7821 to 0.8221 +0.19 +0.17 to +0.21"
    assert f"MATTR higher is more diverse; fair across sizes {mattr}" in said
    assert "no interval: the values do not differ 2.1 0 −2.1" in said
    assert "5 samples a side of 3,200 tokens or 400 captions. Small: 95 % intervals" in said
    assert "different words 1,311 1,311" in said


def test_the_spread_of_alignments_is_drawn():
    chart = spread_chart([Bin(-0.02, 25.0, 0.0), Bin(0.0, 75.0, 50.0), Bin(0.02, 0.0, 50.0)])
    width, height = (WIDTH - LEFT - RIGHT) / 3, HEIGHT - TOP - BOTTOM
    bars = re.findall(r'<rect class="a" x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="([\d.]+)"/>', chart)
    # The axis ends at 80 percent.
    assert [tuple(map(float, bar)) for bar in bars] == [
        pytest.approx((LEFT, width, height * 25 / 80), abs=0.06),
        pytest.approx((LEFT + width, width, height * 75 / 80), abs=0.06),
    ]
    path = re.search(r'class="trend b" d="M([^"]+)"', chart)[1].split("L")
    tops = [(TOP + height - float(point.split()[1])) / height * 80 for point in path]
    assert tops == pytest.approx([0, 0, 0, 50, 50, 50, 50, 0], abs=0.1)
    assert ">−0.02<" in chart
    assert "<path" not in spread_chart([Bin(0.0, 100.0, 0.0)])


def test_alignment_on_the_page(html):
    said = Page(part(html, "section", "captions")).words
    assert "it is no CLIPScore" in said and "Raw captions of other pictures have a mean of 0.021." in said
    assert (
        "Mean 0.195 (0.175 to 0.215) before, 0.255 (0.235 to 0.275) after; change +0.0605 (+0.0404 to +0.0805)." in said
    )


def test_what_is_no_caption_stands_by_reason(html, spoilt_run):
    said = Page(part(html, "section", "captions")).words
    assert "broken_image 2 – junk_loop 1 – loop – 20 cut_off – 21 of all 2,400 9,588" in said
    assert "missing_image" not in said
    for path in (spoilt_run.metrics / "caption.json", spoilt_run.details / "caption.json"):
        path.unlink()
    assert "This run recorded nothing of its captioning." in Page(render(load_run(spoilt_run), None)).words
    clean = {"num_images": 7, "num_failed": 0, "failed_by_reason": {"broken_image": 0}, "junk_by_reason": {}}
    write_json(spoilt_run.metrics / "caption.json", {"caption": clean})
    words = Page(render(load_run(spoilt_run), None)).words
    assert "every one of 7 images got a caption, and no candidate was junk" in words


def test_finetunings_samples_by_source(html, spoilt_run):
    table = "Source Samples seen Rows Epochs conversations 2,880 1,500 1.92 captions 960 2,159 0.4447"
    assert table in Page(part(html, "section", "training")).words
    details = (spoilt_run.details / "finetune.json").read_text()
    (spoilt_run.details / "finetune.json").write_text(details.replace('"caption"', '"conversation"'))
    assert "Samples seen Rows Epochs" not in Page(render(load_run(spoilt_run), None)).words

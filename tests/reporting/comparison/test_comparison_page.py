"""The page of a comparison: the verdict's words and numbers, the right side's answers, and what a side lacks."""

import dataclasses
import re

import pytest
from compared_runs import GAINED, LOST, document
from finished_runs import blip2_alignment, raw_alignment
from html_page import Page, part, texts, words

from recap.reporting.comparison.captions import Told, caption_pairs
from recap.reporting.comparison.page import render
from recap.reporting.comparison.sides import Side
from recap.reporting.comparison.writing import page_name
from recap.reporting.formatting import interval, p_value, points
from recap.reporting.working_tree import Changes

SECTIONS = ["differences", "benchmarks", "funnel", "captions", "training", "metrics", "provenance", "limits"]


def page_of(runs, verdict, *, seeds=1):
    return render(verdict, runs["baseline"][:seeds], runs["blip2"][:seeds])


@pytest.fixture(scope="module")
def one(runs):
    """One run a side."""
    return page_of(runs, document())


@pytest.fixture(scope="module")
def three(runs):
    """Three seeds a side."""
    return page_of(runs, document(seeds=(42, 43, 44)), seeds=3)


def words_of(html, tag, id):
    return Page(part(html, tag, id)).words


def head_of(html):
    return Page(html.split("<header>")[1].split("</header>")[0]).words


@pytest.mark.parametrize("which", ["one", "three"])
def test_page_is_one_file_with_every_section(which, request):
    html = request.getfixturevalue(which)
    page = Page(html)
    page.check_asks_for_nothing()
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert "<script>alert" not in html
    assert "alert('x')" in page.words


def test_every_number_of_the_verdict_is_there(three):
    verdict = document(seeds=(42, 43, 44))
    for name, found in verdict["benchmarks"].items():
        said = words_of(three, "article", name)
        assert found["settles"] in said
        for label, side in (("as asked", found["shown"]), ("grounded: as asked less blanked", found["grounded"])):
            reason = f" no interval: {side['no_interval']}" if side["no_interval"] else ""
            ends = interval(side["low"], side["high"], 2)
            row = f"{label}{reason} {side['a']:.2f} {side['b']:.2f} {points(side['difference'], 2)} {ends}"
            assert row.strip() in said, row
        for prefix, side in (("", found["shown"]), ("grounded: ", found["grounded"])):
            if side["standard_error"] is not None:
                assert f"{prefix}standard error, points {side['standard_error']:.2f}" in said
                assert f"{prefix}degrees of freedom {side['degrees_of_freedom']:.1f}" in said
        if found["shown"]["p"] is not None:
            assert f" p {p_value(found['shown']['p'])}" in said
            assert f" detectable difference, points {found['shown']['detectable']:.2f}" in said
        assert "grounded: p" not in said and "grounded: detectable" not in said
        for flip in found["flips"]:
            kind = " ".join(dict.fromkeys([flip["type"], flip["group"]]))
            row = f"{kind} {flip['questions']} {flip['gained']:.0f} {flip['lost']:.0f}"
            assert row in said
        assert f"questions {found['shown']['questions']} images {found['shown']['images']}" in said
        assert f"images whose score changed {found['shown']['changed_images']}" in said
        assert f"grounded: images that changed {found['grounded']['changed_images']}" in said
    assert "p, Holm over the benchmarks 0.043" in words_of(three, "article", "textvqa")


def test_scores_stand_under_their_side_and_the_blanked_ones_apart(one):
    said = words_of(one, "article", "textvqa")
    assert "baseline blip2 Difference as asked 41.67 58.34 +16.67 [+3.21, +30.12]" in said
    assert "image blanked 8.33 7.32 −1.01" in said
    assert "grounded: as asked less blanked 33.34 51.02 +17.68 [+4.71, +32.62]" in said


def test_words_of_three_seeds(three):
    head = head_of(three)
    assert "better: TextVQA; worse: MMBench; can't tell: GQA." in head
    assert "TextVQA better +16.7 [+3.2, +30.1] grounded +17.7 [+4.7, +32.6]" in head
    assert "GQA can't tell +16.7 no interval" in head
    assert "with 95 % intervals over questions and seeds." in head
    assert "blip2 answers 16.7 points more than baseline: means of 3 and 3 seeds." in words_of(
        three, "article", "textvqa"
    )
    assert "blip2 answers 16.7 points fewer than baseline" in words_of(three, "article", "mmbench")


def test_one_seed_a_side_gets_no_word(one):
    head = head_of(one)
    assert "one seed a side: the recipe is not judged" in head
    assert "TextVQA not judged +16.7 [+3.2, +30.1]" in head
    assert "with 95 % intervals over questions of these two runs." in head
    assert not re.search(r'class="word (better|worse)', one)
    statement = "blip2's run answers 16.7 points more than baseline's; one seed a side: the recipe is not judged."
    assert statement in words_of(one, "article", "textvqa")


def test_no_difference_is_as_many_questions(runs):
    verdict = document()
    verdict["benchmarks"]["textvqa"]["shown"]["difference"] = -0.04
    said = words_of(page_of(runs, verdict), "article", "textvqa")
    assert "blip2's run answers as many questions as baseline's; one seed a side: the recipe is not judged." in said


@pytest.mark.parametrize("benchmark", ["textvqa", "mmbench", "gqa"])
def test_gained_and_lost_questions_show_the_right_sides_answers(one, benchmark):
    article = part(one, "article", benchmark)
    gained, lost = article.split('<h4 class="gained">')[1].split('<h4 class="lost">')
    assert Page(gained.split("</h4>")[0]).words == "blip2 right, baseline wrong: 5"
    assert Page(lost.split("</h4>")[0]).words == "baseline right, blip2 wrong: 3"
    notes = (" right under 2 of 2 rotations", " right under 1 of 2 rotations") if benchmark == "mmbench" else ("", "")
    for found, expected, winner, loser in ((gained, GAINED, "blip2", "baseline"), (lost, LOST, "baseline", "blip2")):
        keys = re.findall(r"The picture of question (\d+)", found) or re.findall(r"✓ <bdi>\w+ answers (\d+)", found)
        assert len(keys) == min(4, len(expected))
        assert set(map(int, keys)) <= expected
        assert texts(found, "right") == [f"✓ {winner} answers {key}{notes[0]}" for key in keys]
        assert texts(found, "wrong") == [f"✗ {loser} answers {key}{notes[1]}" for key in keys]
        says = re.findall(r"</span> (\w+) says</dt>\s*<dd class=\"(\w+)\">", found)
        assert says == [(side, "right" if side == winner else "wrong") for _ in keys for side in ("baseline", "blip2")]


def test_flips_of_one_run_a_side_are_the_documents(one):
    """The two runs that pictures come from are the whole comparison: its count is theirs."""
    flips = document()["benchmarks"]["textvqa"]["flips"]
    assert (flips[0]["gained"], flips[0]["lost"]) == (len(GAINED), len(LOST))
    assert "all 12 5 3 +2 other answer_type 6 2 2 0 yes/no answer_type 6 3 1 +2" in words_of(one, "article", "textvqa")


def test_captions_stand_side_by_side(one):
    captions = part(one, "section", "captions")
    cards = [words(card) for card in captions.split("<figcaption>")[1:]]
    assert len(cards) == 8
    raw = r"Raw caption (.* cosine 0\.\d\d0) baseline trained on \1 blip2 trained on"
    changed = re.compile(rf"{raw} (a \w+ sign .*|<script>.*) cosine 0\.\d\d0")
    dropped = re.compile(rf"{raw} nothing: dropped \w+_filter: .*")
    assert all(changed.fullmatch(card) or dropped.fullmatch(card) for card in cards), cards
    assert any(dropped.fullmatch(card) for card in cards)
    assert captions.count("<img ") == 8


def side_with(run, rows):
    """A side whose only run has these processed rows."""
    changed = dataclasses.replace(run, artifacts=dataclasses.replace(run.artifacts, processed=rows))
    return Side(run.name, run.name, [changed], changed)


def test_alignment_stands_beside_captions_that_have_one(runs):
    baseline, blip2 = (runs[recipe][0] for recipe in ("baseline", "blip2"))
    a, b = (side_with(run, list(run.artifacts.processed)) for run in (baseline, blip2))
    pairs = {pair.id: pair for pair in caption_pairs(a, b)}
    for name, pair in pairs.items():
        number = int(name.removeprefix("street_"))
        assert pair.raw_alignment == pair.a.alignment == raw_alignment(number)
        assert pair.b.alignment == (None if pair.b.caption is None else blip2_alignment(number))
    names = ("alignment", "raw_alignment", "blip2_alignment")
    unscored = [{key: value for key, value in row.items() if key not in names} for row in baseline.artifacts.processed]
    pairs = caption_pairs(side_with(baseline, unscored), b)
    assert {pair.raw_alignment for pair in pairs} == {pair.a.alignment for pair in pairs} == {None}
    assert any(pair.b.alignment for pair in pairs)


def test_a_placebos_captions_are_called_what_they_are(runs):
    blip2 = runs["blip2"][0]
    rows = list(blip2.artifacts.processed)
    turned = [
        row | {"text": other["text"], "caption_source": "shuffled", "alignment": None}
        for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]
    placebo = dataclasses.replace(blip2.artifacts, processed=turned)
    html = render(document(), runs["baseline"][:1], [dataclasses.replace(blip2, artifacts=placebo)])
    cards = [words(card) for card in part(html, "section", "captions").split("<figcaption>")[1:]]
    assert any("blip2 trained on BLIP-2's caption of another image a " in card for card in cards)
    assert not any("baseline trained on the raw caption" in card for card in cards)


def test_rows_that_only_one_side_has_are_shown(runs):
    """Side B made a row of another one, which side A neither has nor dropped."""
    baseline = runs["baseline"][0]
    rows = list(baseline.artifacts.processed)
    more = side_with(baseline, [*rows, rows[0] | {"id": "street_0_2", "raw_id": "street_0"}])
    (pair,) = caption_pairs(side_with(baseline, rows), more)
    assert pair.id == "street_0_2"
    assert pair.a == Told(None)
    assert pair.b.caption == pair.raw == "sign 0 - stock photo"


def test_funnels_stand_under_their_side(one):
    baseline, blip2 = part(one, "section", "funnel").split("<h3>")[1:]
    assert "2,400 rows in, 2,400 out (100.0 %)" in words(baseline)
    assert "The recipe has no operators" in words(baseline)
    assert "2,400 rows in, 2,159 out (90.0 %)" in words(blip2)
    assert "words_num_filter num_words low (110), num_words high (8) 2,308 118 5.1 % 0 2,190" in words(blip2)


def test_error_bars_are_the_intervals(one):
    chart = part(one, "section", "differences").split("<svg")[1]
    axis = dict(re.findall(r'<text class="tick" x="([\d.]+)%"[^>]*>([−\d]+)<', chart))
    places = {float(value.replace("−", "-")): float(place) for place, value in axis.items()}
    (low, left), (high, right) = min(places.items()), max(places.items())

    def value(place):
        return low + (float(place) - left) / (right - left) * (high - low)

    bars = re.findall(r'<line class="bar (\w+)" x1="([\d.]+)%" x2="([\d.]+)%" y1="([\d.]+)" y2="\4"/>', chart)
    ends = [(style, round(value(start), 1), round(value(end), 1)) for style, start, end, _ in bars]
    assert ends == [
        ("b", pytest.approx(3.21, abs=0.1), pytest.approx(30.12, abs=0.1)),
        ("grounded", pytest.approx(4.71, abs=0.1), pytest.approx(32.62, abs=0.1)),
        ("b", pytest.approx(-30.45, abs=0.1), pytest.approx(-2.89, abs=0.1)),
        ("grounded", pytest.approx(-28.95, abs=0.1), pytest.approx(-0.39, abs=0.1)),
    ]
    dots = [round(value(place), 1) for place in re.findall(r'<circle class="dot b" cx="([\d.]+)%"', chart)]
    assert dots == pytest.approx([16.67, -16.67, 16.67], abs=0.1)


def test_each_run_stands_in_the_chart_of_scores_with_its_side(three):
    chart = part(three, "section", "differences").split("<svg")[2].split('<text class="label"')[1]
    places = {style: re.findall(rf'<circle class="dot {style}" cx="([\d.]+)%"', chart) for style in ("a", "b", "blank")}
    assert {style: len(found) for style, found in places.items()} == {"a": 3, "b": 3, "blank": 6}
    shares = [(float(places[style][0]) - 4) / 92 for style in ("a", "b", "blank")]
    assert shares == pytest.approx([5 / 12, 7 / 12, 1 / 12], abs=1e-3)


def test_curves_of_both_sides(one, three):
    training = part(one, "section", "training")
    assert re.findall(r'<path class="(\w+ \w)"', training) == ["raw a", "raw b", "trend a", "trend b"] * 2
    # Baseline's losses are twice blip2's: its curve ends further up, which is a smaller y.
    last = dict(re.findall(r'<path class="trend (\w)" d="[^"]* ([\d.]+)"', training.split("</svg>")[0]))
    assert float(last["a"]) < float(last["b"])
    # Of several runs a side only the trends: single steps would hide one another.
    training = part(three, "section", "training")
    assert re.findall(r'<path class="(\w+ \w)"', training) == [*["trend a"] * 3, *["trend b"] * 3] * 2


def test_metrics_are_called_what_they_are(one, three):
    assert "baseline blip2 Change process.kept_percent 100 89.96 −10" in words_of(one, "section", "metrics")
    said = words_of(three, "section", "metrics")
    assert "baseline mean of 3 seeds blip2 mean of 3 seeds Change" in said
    assert "pretrain.loss_final 0.7712 0.7612, 0.7712, 0.7812 0.2319 0.2319, 0.2319, 0.2319 −0.539" in said


def test_the_order_of_runs_changes_nothing(runs, three):
    verdict = document(seeds=(44, 42, 43))
    for metric in verdict["metrics"].values():
        for side in ("a_runs", "b_runs"):
            by_seed = sorted(metric[side])
            metric[side] = [by_seed[2], by_seed[0], by_seed[1]]
    shuffled = [[runs[recipe][index] for index in (1, 2, 0)] for recipe in ("baseline", "blip2")]
    assert render(verdict, *shuffled) == three


def test_provenance_of_both_sides(runs):
    changed = dataclasses.replace(
        runs["blip2"][0], changes=Changes("f00d" * 10, ["src/recap/models/loading.py"], {"lora.r": (16, 8)})
    )
    said = words_of(render(document(), runs["baseline"][:1], [changed]), "section", "provenance")
    for text in (
        f"baseline baseline {42:040x} baseline 42 blip2 blip2 {42:040x} blip2 42",
        "Parameter baseline blip2 recipe baseline blip2",
        "recipes/blip2.yaml",
        "baseline: not an experiment; Git knows only what was committed.",
        f"blip2, from commit {'f00d' * 10} Code or recipes that differ",
        "src/recap/models/loading.py",
        "lora.r 16 → 8",
        "blip2 pretrain cpu float32 2 1 3,840",
        "Versions in all training stages: torch 2.9.1, transformers 5.1.0",
    ):
        assert text in said, text


def test_what_makes_a_verdict_void_stands_on_top(runs, one):
    assert "not comparable" not in head_of(one)
    assert "only tests the wiring" not in head_of(one)
    verdict = document()
    verdict["wiring_only"] = True
    verdict["incomparable"] = [{"what": "finetune set", "a": "1234abcd", "b": None}]
    head = head_of(page_of(runs, verdict))
    assert "These two are not comparable. The comparison was forced." in head
    assert "finetune set 1234abcd –" in head
    assert "This only tests the wiring." in head


def test_without_a_blank_pass_there_is_no_grounded_difference(runs):
    verdict = document()
    for found in verdict["benchmarks"].values():
        found["grounded"] = None
    html = page_of(runs, verdict)
    assert "not asked with the image blanked" in head_of(html)
    assert "image blanked 8.33" not in Page(html).words
    assert "grounded:" not in words_of(html, "article", "textvqa")


def test_without_the_runs_files_the_numbers_stay(runs, one):
    bare = {
        recipe: dataclasses.replace(
            found[0],
            artifacts=dataclasses.replace(found[0].artifacts, scores={}, processed=[], dropped=[]),
            missing=["data/scores", "data/corpus"],
        )
        for recipe, found in runs.items()
    }
    html = render(document(), [bare["baseline"]], [bare["blip2"]])
    assert "baseline lacks 2; to get them, dvc exp apply baseline" in head_of(html)
    assert "dvc pull data/scores data/corpus" in head_of(html)
    assert "as asked 41.67 58.34 +16.67 [+3.21, +30.12]" in words_of(html, "article", "textvqa")
    assert "so no examples are shown" in words_of(html, "article", "textvqa")
    assert "so no captions are shown" in words_of(html, "section", "captions")
    assert "lacks" not in head_of(one)


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        (["main"], ["exp/new:lr"], "main..exp-new-lr.html"),
        (["baseline", "baseline-s43"], ["blip2"], "baseline-2-seeds..blip2.html"),
        (["../../etc"], ["workspace"], "etc..workspace.html"),
    ],
)
def test_page_has_a_name_that_is_safe_as_a_file(a, b, name):
    sides = ({"label": "baseline", "runs": [{"revision": revision} for revision in runs]} for runs in (a, b))
    assert page_name(dict(zip("ab", sides, strict=True))) == name

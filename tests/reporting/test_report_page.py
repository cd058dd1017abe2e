"""The report as a page: one file, every section, hostile text harmless, and whatever a run lacks said plainly."""

import json
import re
import runpy
import shutil
import sys
from itertools import pairwise

import pytest
from finished_runs import HOSTILE, ROOT, write_json, write_jsonl, write_run
from html_page import Page, part, texts

from recap.io import read_jsonl
from recap.reporting.bars import accuracy_bars
from recap.reporting.formatting import breakable, number, signed
from recap.reporting.page import render
from recap.reporting.run import load_run
from recap.reporting.working_tree import Changes

SECTIONS = [
    "scores", "explore", "funnel", "captions", "quality", "training", "merge", "answers", "provenance", "limits",
]  # fmt: skip


@pytest.fixture(scope="module")
def html(finished_run):
    return render(load_run(finished_run), None)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_is_one_file(page, html):
    page.check_asks_for_nothing()
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_hostile_text_is_shown_not_obeyed(page, html):
    assert HOSTILE not in html
    assert "alert('x')" in page.words
    assert not [image for image in page.all("img") if "onerror" in image]


def test_every_section_exists_and_is_linked(page):
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in SECTIONS]
    assert [name for name, _ in page.headings].count("h1") == 1
    levels = [int(name[1]) for name, _ in page.headings]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_pictures_and_tables_are_described(page):
    images = page.all("img")
    # 6 dropped rows, 20 captions, 4 right and 4 wrong answers of TextVQA and of MMBench; GQA has no folder.
    assert len(images) == 6 + 20 + 8 + 8
    assert all(image["alt"] for image in images)
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    # Loss and gradient norm of both stages, loss of held-out conversations; two filters' statistics; alignment.
    assert len(page.all("svg")) == 5 + 2 + 1
    assert page.words.count(", 240 steps") == 5
    assert "Loss of held-out conversations of finetune from 2.15 to 1.8, 240 steps" in page.words


def test_numbers_of_the_run_are_there(page):
    for text in (
        "61.2",
        "± 1.9",
        "2,159",
        "3 unanswered",
        "1.2 × 10⁻⁵",
        "llava_gqa",
        "words_num_filter",
        "q_proj, k_proj",
    ):
        assert text in page.words, text
    assert "The embedded world served for what the data source lacks: finetune, gqa." in page.words


def test_page_is_the_same_every_time(finished_run, html):
    assert render(load_run(finished_run), None) == html


def test_what_explore_found_wrong(html):
    words = Page(html).words
    assert "keeps 2,207 of them" in words and "0 of its pictures are a benchmark's too" in words
    assert "captions that are too short drop, or recaption them: recipe selective 94 3.9" in words


def test_a_run_that_did_not_explore(spoilt_run):
    (spoilt_run.details / "explore.json").unlink()
    assert "This run did not explore its corpus." in Page(render(load_run(spoilt_run), None)).words


def test_baseline_without_recaptioning_or_blank_pass(tmp_path):
    page = Page(render(load_run(write_run(tmp_path, "baseline", blank=False)), None))
    assert "The recipe has no operators" in page.words
    assert "BLIP-2 says (not used by this row)" in page.words
    assert "not asked with the image blanked" in page.words
    assert "Trained on" not in page.words
    assert [section["id"] for section in page.all("section")] == SECTIONS


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("metrics", "This run scored no benchmark."),
        ("plots", "This run recorded no curves of finetune."),
        ("processed", "No row came through the recipe."),
        ("scores", "This run kept no scored answers."),
        ("benchmarks", "no picture"),
        ("corpus", "no picture"),
    ],
)
def test_what_a_run_lacks_is_said(spoilt_run, html, lacking, said):
    shutil.rmtree(getattr(spoilt_run, lacking))
    page = Page(render(load_run(spoilt_run), None))
    assert page.words.count(said) > Page(html).words.count(said)
    assert [section["id"] for section in page.all("section")] == SECTIONS


@pytest.mark.parametrize(
    ("lacking", "gone"),
    [("timings", "Items a second"), ("timings", "Versions in all stages"), ("details", "What the training stages")],
)
def test_what_was_not_recorded_is_left_out(spoilt_run, html, lacking, gone):
    assert gone in Page(html).words
    shutil.rmtree(getattr(spoilt_run, lacking))
    assert gone not in Page(render(load_run(spoilt_run), None)).words


def test_right_and_wrong_answers_stand_where_they_belong(html):
    answers = part(html, "section", "answers")
    textvqa, mmbench, gqa = answers.split("<h3>")[1:]
    for right, wrong, found in [("sign", HOSTILE, textvqa), ("B", "A", mmbench), ("yes", "yes", gqa)]:
        assert texts(found, "right") == [f"✓ {right}"] * 4
        assert texts(found, "wrong") == [f"✗ {' '.join(wrong.split())}"] * 4
    assert "right under 1 of 2 rotations" not in answers


def test_how_far_a_wrong_answer_was_right_under_rotation_is_told(spoilt_run):
    path = spoilt_run.scores / "mmbench.jsonl"
    rows = list(read_jsonl(path))
    for row in rows:
        said = ("A", "A" if row["score"] else "B")
        row["rotations"] = [{"extracted": letter, "answer": "A"} for letter in said]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mmbench = part(render(load_run(spoilt_run), None), "section", "answers").split("<h3>")[2]
    assert texts(mmbench, "right") == ["✓ B right under 2 of 2 rotations"] * 4
    assert texts(mmbench, "wrong") == ["✗ A right under 1 of 2 rotations"] * 4


def test_blanked_scores_stand_beside_the_shown_ones(html):
    scores, words = Page(part(html, "section", "scores")).words, Page(html).words
    assert "Answered correctly, percent of questions Benchmark As asked Image blanked Questions" in scores
    assert "TextVQA mmf 61.2 ± 1.9 12.5 ± 1.2 400" in scores
    assert "MMBench circular, exact matching, vlmevalkit e8e78f05 44.2 ± 1.9 12.5 ± 1.2 400" in scores
    assert "GQA llava_gqa · 3 unanswered 27.2 ± 1.9 12.5 ± 1.2 400" in scores
    assert "TextVQA answered correctly, % 61.2 ± 1.9 standard error with the image blanked, % 12.5" in words
    bars = re.findall(r'<i( class="blank")? style="width:([\d.]+)%">', part(html, "section", "scores"))
    assert bars == [bar for shown in ("61.2", "44.2", "27.2") for bar in (("", shown), (' class="blank"', "12.5"))]


def test_rows_trained_on_are_those_that_trained(page):
    """The recipe let 2,159 rows through; the fixture's pretraining ended before it had seen them all."""
    assert "rows trained on 2,000 of 2,159 processed and 2,400 in the corpus; 3,840 samples seen" in page.words


def test_wiring_only_is_said_on_the_first_screen(spoilt_run):
    assert "only tests the wiring" not in Page(render(load_run(spoilt_run), None)).words
    write_json(spoilt_run.details / "check.json", {"check": {"wiring_only": True}})
    html = render(load_run(spoilt_run), None)
    assert "This run only tests the wiring" in Page(html.split("<header>")[1].split("</header>")[0]).words


def test_a_tree_that_differs_from_its_commit_is_said(finished_run):
    params = {"recipe": ("blip2", "baseline"), "lora.r": (16, 8), "data.source": ("worlds/street", "/photos")}
    html = render(load_run(finished_run), Changes("f00d" * 10, ["src/recap/models/loading.py"], params))
    head = Page(html.split("<header>")[1].split("</header>")[0]).words
    assert "from commit f00df00 " in head
    assert "1 file of code or recipes differs from the commit" in head
    assert "Set otherwise than in the commit: lora.r 8, data.source /photos" in head
    provenance = Page(part(html, "section", "provenance")).words
    assert "src/recap/models/loading.py" in provenance
    for text in ("recipe blip2 → baseline", "lora.r 16 → 8", "f00d" * 10):
        assert text in provenance
    assert "Code and recipes were the commit's" not in provenance


def test_a_clean_tree_is_said(finished_run):
    html = render(load_run(finished_run), Changes("f00d" * 10, [], {}))
    assert (
        "Code and recipes were the commit's when this page was made. Every parameter is the commit's."
        in Page(html).words
    )
    assert "differs from the commit" not in Page(html).words
    assert "outside any Git commit" in Page(render(load_run(finished_run), None)).words


def test_training_stages_say_what_they_ran_on(page):
    assert "pretrain cpu float32 2 1 3,840" in page.words
    assert "Versions in all training stages: torch 2.9.1, transformers 5.1.0" in page.words


def test_minutes_count_what_was_done_before_a_kill(page):
    """Pretraining took 244 s, 124 of which before it was killed."""
    assert "pretrain cpu 3 4.1 2.1 before a kill 2,400" in page.words
    assert "merge – 3 0.1 – –" in page.words


def test_broken_picture_costs_only_itself(spoilt_run):
    before = len(Page(render(load_run(spoilt_run), None)).all("img"))
    for path in (spoilt_run.corpus / "images").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    assert len(Page(render(load_run(spoilt_run), None)).all("img")) == before - 6 - 20


def test_stage_writes_the_page(finished_run, tmp_path, monkeypatch):
    flags = {name: str(path) for name, path in vars(finished_run).items()}
    flags |= {"report": str(tmp_path / "index.html"), "accuracy": str(tmp_path / "accuracy.json")}
    arguments = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    monkeypatch.setattr(sys, "argv", ["report.py", *arguments])
    runpy.run_path(str(ROOT / "stages/report.py"), run_name="__main__")
    assert (tmp_path / "index.html").read_text().startswith("<!doctype html>")
    assert json.loads((tmp_path / "accuracy.json").read_text())[0] == {
        "benchmark": "TextVQA", "image": "shown", "accuracy": 61.24, "accuracy_stderr": 1.93,
    }  # fmt: skip


def test_a_benchmark_that_is_no_longer_chosen_is_not_shown(spoilt_run):
    text = spoilt_run.params.read_text().replace("  mmbench: mmbench\n", "")
    spoilt_run.params.write_text(text)
    assert (spoilt_run.metrics / "mmbench.json").is_file()
    run = load_run(spoilt_run)
    assert run.benchmarks == ["textvqa", "gqa"]
    assert "MMBench" not in render(run, None)
    assert not any("MMBench" in bar["benchmark"] for bar in accuracy_bars(run))


def test_what_a_score_means_stands_among_the_limits(finished_run, spoilt_run):
    assert "MMBench: a question counts as right only if" in render(load_run(finished_run), None)
    params = spoilt_run.params.read_text().replace("  textvqa: textvqa\n", "  textvqa_ocr: textvqa\n")
    spoilt_run.params.write_text(params)
    for path, suffix in ((spoilt_run.metrics, "json"), (spoilt_run.scores, "jsonl")):
        text = (path / f"textvqa.{suffix}").read_text()
        (path / f"textvqa_ocr.{suffix}").write_text(text.replace('"textvqa":', '"textvqa_ocr":'))
    folder = spoilt_run.benchmarks / "textvqa"
    rows = json.loads((folder / "TextVQA_0.5.1_val.json").read_text())["data"]
    lines = [{"question_id": r["image_id"], "text": f"{r['question']}\nReference OCR token: X\nAnswer."} for r in rows]
    write_jsonl(folder / "llava_textvqa_val_v051_ocr.jsonl", lines)
    page = render(load_run(spoilt_run), None)
    assert "<h3>TextVQA with OCR tokens</h3>" in page and "about twelve points" in page
    # The pictures come from the folder that it shares.
    assert len(Page(page).all("img")) == len(Page(render(load_run(finished_run), None)).all("img"))


def test_bars_with_and_without_the_image(finished_run):
    bars = accuracy_bars(load_run(finished_run))
    assert [(bar["benchmark"], bar["image"], bar["accuracy"]) for bar in bars] == [
        ("TextVQA", "shown", 61.24), ("TextVQA (blank)", "blank", 12.5),
        ("MMBench", "shown", 44.24), ("MMBench (blank)", "blank", 12.5),
        ("GQA", "shown", 27.24), ("GQA (blank)", "blank", 12.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (2400, "2,400"), (61.2444, "61.24"), (12345.6, "12,346"), (0.000012, "1.2 × 10⁻⁵"), (True, "true"),
        (-3, "−3"), (-0.6328634, "−0.6329"), (-1e-7, "−1 × 10⁻⁷"),
        ("text", "text"), ("", '""'), (["q_proj", 3], "q_proj, 3"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers_as_people_read_them(value, shown):
    assert number(value) == shown


def test_changes_carry_their_sign():
    assert [signed(value) for value in (None, 0, 0.05617, -2.1, 41)] == ["–", "0", "+0.0562", "−2.1", "+41"]


def test_breakable_escapes_first():
    assert breakable("<a_b>") == "&lt;a_<wbr>b&gt;"

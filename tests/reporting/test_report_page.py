"""The report as a page: one file, every section, hostile text harmless, and whatever a run lacks said plainly."""

import re
import runpy
import shutil
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from finished_runs import HOSTILE, ROOT, write_run

from recap.reporting.formatting import breakable, number, signed
from recap.reporting.page import render
from recap.reporting.run import load_run

SECTIONS = ["scores", "funnel", "captions", "quality", "training", "merge", "answers", "provenance", "limits"]
VOID = {"meta", "img", "br", "wbr", "line", "path"}


class Page(HTMLParser):
    """Collects elements, attributes and headings, and checks that elements close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements, self.open, self.headings, self.text = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "wbr":
            self.text.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((self.open[-1], data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def html(finished_run):
    return render(load_run(finished_run), None)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_is_one_file(page, html):
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/jpeg;base64,", "#")), (tag, name, value)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert {"script", "link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.elements)
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")


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
    # 6 dropped rows, 8 captions, 4 right and 4 wrong answers of TextVQA and of MMBench; GQA has no folder.
    assert len(images) == 6 + 8 + 8 + 8
    assert all(image["alt"] for image in images)
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("svg")) == 4 == page.words.count(", 240 steps")


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
    assert "MATTR higher is more diverse; fair across sizes 0.6123 0.8021 +0.19" in page.words
    assert "The embedded world served for what the data source lacks: finetune, gqa." in page.words


def test_page_is_the_same_every_time(finished_run, html):
    assert render(load_run(finished_run), None) == html


def test_baseline_without_recaptioning_or_blank_pass(tmp_path):
    page = Page(render(load_run(write_run(tmp_path, "baseline", blank=False), None)))
    assert "The recipe has no operators" in page.words
    assert "BLIP-2 says (not used by this recipe)" in page.words
    assert "not asked with the image blanked" in page.words
    assert "Trained on" not in page.words
    assert [section["id"] for section in page.all("section")] == SECTIONS


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("metrics", "This run scored no benchmark."),
        ("plots", "This run recorded no curves of finetune."),
        ("captions", "Trained on"),
        ("processed", "No row came through the recipe."),
        ("scores", "This run kept no scored answers."),
        ("benchmarks", "no picture"),
        ("timings", "Provenance"),
        ("corpus", "no picture"),
    ],
)
def test_what_a_run_lacks_is_said(spoilt_run, lacking, said):
    path = getattr(spoilt_run, lacking)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = Page(render(load_run(spoilt_run), None))
    assert said in page.words
    assert [section["id"] for section in page.all("section")] == SECTIONS


def test_broken_picture_costs_only_itself(spoilt_run):
    before = len(Page(render(load_run(spoilt_run), None)).all("img"))
    for path in (spoilt_run.corpus / "images").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    assert len(Page(render(load_run(spoilt_run), None)).all("img")) == before - 6 - 8


def test_stage_writes_the_page(finished_run, tmp_path, monkeypatch):
    flags = {name: str(path) for name, path in vars(finished_run).items()} | {"report": str(tmp_path / "index.html")}
    arguments = [word for name, value in flags.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["report.py", *arguments])
    runpy.run_path(str(ROOT / "stages/report.py"), run_name="__main__")
    assert (tmp_path / "index.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (2400, "2,400"), (61.2444, "61.24"), (12345.6, "12,346"), (0.000012, "1.2 × 10⁻⁵"), (True, "true"),
        ("text", "text"), ("", '""'), (["q_proj", 3], "q_proj, 3"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers_as_people_read_them(value, shown):
    assert number(value) == shown


def test_changes_carry_their_sign():
    assert [signed(value) for value in (None, 0, 0.05617, -2.1, 41)] == ["–", "0", "+0.0562", "−2.1", "+41"]


def test_breakable_escapes_first():
    assert breakable("<a_b>") == "&lt;a_<wbr>b&gt;"

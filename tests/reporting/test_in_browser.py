"""Both kinds of page as a browser shows them: on a telephone and on a wide screen, in the light and in the dark."""

import pytest
from browser import browser
from compared_runs import SEEDS, document
from finished_runs import ARABIC, EMOJI, HOSTILE, LONG_WORD, STYLE_END

from recap.reporting.comparison.page import render as render_comparison
from recap.reporting.page import render as render_run
from recap.reporting.run import load_run
from recap.reporting.working_tree import Changes

CHANGES = Changes(
    "f00d" * 10,
    ["src/recap/models/mgm/image_processing_mgm_of_a_rather_long_name.py"],
    {"data.source": ("worlds/street", "/a/rather/long/folder/of/photographs"), "lora.r": (16, 8)},
)
# Elements that leave the page at the right.
LEAVING = """[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => e.tagName + '.' + (e.className.baseVal ?? e.className)).slice(0, 5)"""
# Elements that their card, which hides what leaves it, cuts off; and elements that leave their cell of a table.
CUT_OFF = """[...document.querySelectorAll('.card *, .charts figure *, td *, th *')].filter(e => !e.closest('svg') &&
    e.getBoundingClientRect().right > e.closest('.card, figure, td, th').getBoundingClientRect().right + 0.5)
    .map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40)).slice(0, 5)"""
# Tables that are wider than the frame of their chart leaves them.
SQUEEZED = """[...document.querySelectorAll('.charts figure table')].filter(table =>
    table.getBoundingClientRect().right > table.closest('figure').firstElementChild.getBoundingClientRect().right + 0.5
    ).map(table => table.innerText)"""
# The smallest letters outside of charts, in pixels.
SMALLEST = """Math.min(...[...document.querySelectorAll('body *')].filter(e => !e.closest('svg') &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(
    e => parseFloat(getComputedStyle(e).fontSize)))"""
# How light the page, its text and the labels of its charts are, 0 to 1.
LUMINANCE = """(() => {
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
        return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255 };
    const text = document.querySelector('.intervals .label, .chart .tick');
    return [light(getComputedStyle(document.body).backgroundColor), light(getComputedStyle(document.body).color),
        light(getComputedStyle(text).fill)] })()"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory, finished_run, runs):
    """The page of a run, of two runs compared, and of three seeds a side with everything that can be wrong."""
    forced = document(seeds=SEEDS) | {"wiring_only": True}
    forced["incomparable"] = [
        {"what": "models/language_model", "a": "d41d8cd98f00b204" * 2, "b": "0cc175b9c0f1b6a8" * 2}
    ]
    html = {
        "run": render_run(load_run(finished_run), CHANGES),
        "one": render_comparison(document(), runs["baseline"][:1], runs["blip2"][:1]),
        "forced": render_comparison(forced, runs["baseline"], runs["blip2"]),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in html.items():
        (folder / f"{name}.html").write_text(text)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1400])
@pytest.mark.parametrize("name", ["run", "one", "forced"])
def test_page_in_a_browser(tab, pages, name, width, scheme):
    tab.open(pages / f"{name}.html", width=width, scheme=scheme)
    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate(LEAVING) == []
    assert tab.evaluate(CUT_OFF) == []
    assert tab.evaluate(SQUEEZED) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(SMALLEST) >= 11
    assert tab.requests == []
    assert tab.problems == []
    assert tab.evaluate("document.images.length") > 10
    assert tab.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 0
    paper, ink, label = tab.evaluate(LUMINANCE)
    assert (paper > 0.9 and max(ink, label) < 0.4) if scheme == "light" else (paper < 0.15 and min(ink, label) > 0.55)


@pytest.mark.parametrize("width", [380, 1400])
def test_numbers_of_the_verdict_are_visible(tab, pages, width):
    tab.open(pages / "one.html", width=width, scheme="light")
    shown = " ".join(tab.evaluate("document.body.innerText").split())
    for text in (
        *("+16.67", "[+3.21, +30.12]", "−16.67", "[−30.45, −2.89]", "+17.68", "[+4.71, +32.62]", "58.34", "7.32"),
        *("one seed a side: the recipe is not judged", "5 seeds a side, or 640 questions, would settle 9.4 points"),
        *("fewer than 10 images whose score changed", "not judged", f"{42:040x}", "recipes/blip2.yaml", "2,159"),
    ):
        assert text in shown, text
    # The labels of a chart are as wide as they are drawn, and none covers its neighbour.
    assert (
        tab.evaluate(
            """[...document.querySelectorAll('.intervals .label')].filter(label => {
            const note = label.nextElementSibling.getBoundingClientRect();
            return label.getBoundingClientRect().right > note.left }).length"""
        )
        == 0
    )


@pytest.mark.parametrize("width", [380, 1400])
def test_hostile_captions_are_nothing_but_text(tab, pages, width):
    """Raw captions, those that were trained on, and candidates: markup, very long words, letters that turn round."""
    tab.open(pages / "run.html", width=width, scheme="light")
    tags = tab.evaluate("[...new Set([...document.querySelectorAll('#captions bdi *')].map(e => e.tagName))].sort()")
    assert tags == ["SPAN"]  # the names of control characters
    assert tab.evaluate("document.querySelectorAll('script, style').length") == 1
    shown = tab.evaluate("[...document.querySelectorAll('#captions .candidates bdi')].map(e => e.textContent)")
    assert {HOSTILE, STYLE_END, ARABIC, EMOJI} <= {text.strip() for text in shown}
    assert f"{LONG_WORD[:300]}… (500 characters)" in shown
    assert "U+202Egnp.exe U+2067U+2066 a sign" in shown
    # A candidate's scores follow it, in whatever direction its words run.
    before_its_text = """[...document.querySelectorAll('#captions .candidates li')].filter(item => {
        const lines = [...item.querySelector('bdi').getClientRects()], last = lines[lines.length - 1];
        const score = item.querySelector('.score');
        return score && score.getBoundingClientRect().bottom < last.bottom + 5 &&
            score.getBoundingClientRect().left < last.right - 0.5 }).map(item => item.textContent)"""
    assert tab.evaluate(before_its_text) == []


def test_the_browser_would_notice(tab, tmp_path):
    """What the checks above look for is found on a page that has it."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><img src='data:image/png;base64,x'><img src='http://127.0.0.1:9/x.png'>"
        "<div style='width: 900px'>wide</div>"
        "<div class='card' style='width: 50px; font-size: 9px'><b>overhanging</b></div>"
        "<script>console.error('hello'); nothing.here</script>"
    )
    tab.open(page, width=380, scheme="light")
    assert tab.requests == ["http://127.0.0.1:9/x.png"]
    assert any("hello" in problem for problem in tab.problems)
    assert any("ReferenceError" in problem for problem in tab.problems)
    assert tab.evaluate(LEAVING) == ["DIV."]
    assert tab.evaluate(CUT_OFF) == ["B. overhanging"]
    assert tab.evaluate(SMALLEST) == 9
    assert tab.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).length") == 2

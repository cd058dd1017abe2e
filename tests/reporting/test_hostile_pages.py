"""Pages made of hostile text, in a real browser: every letter is shown, none is obeyed, and nothing could be."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import Tab, browser
from compared_runs import document
from finished_runs import run_files

from recap.reporting.comparison.page import render as render_comparison
from recap.reporting.comparison.sides import ComparedRun
from recap.reporting.page import render as render_run
from recap.reporting.run import RunFiles, load_run
from recap.reporting.working_tree import Changes
from tests.hostile_text import ALL, ESCAPES, LONG, SCRIPT, TURNED

# Everything that a page could do by itself, were there no policy: scripts of every kind, requests, frames, forms.
ATTEMPTS = """
<script>window.hit = 1</script><script src="http://127.0.0.1:PORT/x.js"></script>
<img src="http://127.0.0.1:PORT/x.png"><img src="data:," onerror="window.hit = 2">
<link rel="stylesheet" href="http://127.0.0.1:PORT/x.css"><style>@import "http://127.0.0.1:PORT/y.css";
body { background: url(http://127.0.0.1:PORT/z.png) }</style>
<iframe src="http://127.0.0.1:PORT/frame"></iframe><iframe srcdoc="<script>parent.hit = 3</script>"></iframe>
<object data="http://127.0.0.1:PORT/o"></object><video src="http://127.0.0.1:PORT/v"></video>
<svg onload="window.hit = 4"></svg><a id="link" href="javascript:window.hit = 5">x</a>
<base href="http://127.0.0.1:PORT/">
<form id="form" action="http://127.0.0.1:PORT/form"><input name="a" value="b"></form>
"""
TRY = "document.getElementById('link').click(); document.getElementById('form').submit()"
CHANGES = Changes("f00d" * 10, [f"recipes/{text[:200]}.yaml" for text in ALL], {"data.source": (SCRIPT, TURNED)})


class Server(ThreadingHTTPServer):
    """Remembers what it is asked for; it has nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Refusal)

    def attempts(self) -> str:
        return ATTEMPTS.replace("PORT", str(self.server_port))


class Refusal(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, finished_run: RunFiles, runs: dict[str, list[ComparedRun]]
) -> dict[str, str]:
    """A run whose questions, answers, options, keys, captions, operators, reasons and file names are hostile, and a
    comparison whose names of types, runs and code are."""
    folder = tmp_path_factory.mktemp("hostile") / "run"
    files = run_files(Path(shutil.copytree(finished_run.params.parent, folder)))
    for path in (files.scores / "textvqa.jsonl", files.scores / "mmbench.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for number, row in enumerate(rows):
            text = ALL[number % len(ALL)]
            row |= {"question": text, "prediction": text, "answers": [text] * 10, "key": text[:100] + str(number)}
            row |= {"options": {"A": text, "B": "teal"}} if "options" in row else {}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [json.loads(line) for line in files.captions.read_text().splitlines()]
    for number, row in enumerate(lines):
        row["candidates"][0] |= {"caption": ALL[number % len(ALL)], "prompt": TURNED}
    files.captions.write_text("".join(json.dumps(row) + "\n" for row in lines))
    details = json.loads((files.details / "process.json").read_text())
    operators = details["process"]["operators"]
    operators["words_num_filter"] |= {"reasons": {text[:5000]: 10 for text in ALL}, "statistic": f"{SCRIPT}{TURNED}"}
    operators[f"{SCRIPT}{ESCAPES}"] = operators["character_repetition_filter"]
    (files.details / "process.json").write_text(json.dumps(details))
    compared = document()
    compared["code"] = list(CHANGES.code)
    compared["params"] = {SCRIPT: {"a": TURNED, "b": LONG[:5000]}}
    for found in compared["benchmarks"].values():
        for flip, text in zip(found["flips"], ALL, strict=False):
            flip |= {"type": text[:5000], "group": TURNED}
    return {
        "run": render_run(load_run(files), CHANGES),
        "comparison": render_comparison(compared, runs["baseline"][:1], runs["blip2"][:1]),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1400])
@pytest.mark.parametrize("name", ["run", "comparison"])
def test_every_letter_is_shown_and_none_obeyed(
    tab: Tab, pages: dict[str, str], tmp_path: Path, name: str, width: int, scheme: str
) -> None:
    (tmp_path / "page.html").write_text(pages[name], encoding="utf-8")
    tab.open(tmp_path / "page.html", width=width, scheme=scheme)
    assert tab.evaluate("window.hit ?? null") is None
    assert (tab.requests, tab.problems) == ([], [])
    assert (
        tab.evaluate("document.querySelectorAll('script, iframe, form, base, object, [onerror], [onload]').length") == 0
    )
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    shown = tab.evaluate("document.documentElement.textContent")
    assert SCRIPT in shown and "invoiceU+202Egnp.exeU+2066U+2069U+200BU+FEFF" in shown
    # Also in the names of charts for screen readers and in what stands for a picture.
    everything = tab.evaluate("document.documentElement.outerHTML")
    assert not {character for text in (TURNED, ESCAPES) for character in text if not character.isprintable()} & {
        *everything
    } - {"\n"}


@pytest.mark.parametrize("name", ["run", "comparison"])
def test_the_policy_holds_where_escaping_would_not(
    tab: Tab, pages: dict[str, str], server: Server, tmp_path: Path, name: str
) -> None:
    page = tmp_path / "page.html"
    page.write_text(pages[name].replace("</body>", f"{server.attempts()}</body>"), encoding="utf-8")
    tab.open(page, width=1400, scheme="light")
    tab.evaluate(f"{TRY}; new Promise(done => setTimeout(done, 300))")
    assert tab.evaluate("window.hit ?? null") is None
    assert server.asked == []
    assert tab.evaluate("location.href") == page.as_uri()
    assert tab.evaluate("document.baseURI") == page.as_uri()


def test_without_the_policy_the_attempts_succeed(tab: Tab, server: Server, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><body>{server.attempts()}</body>", encoding="utf-8")
    tab.open(page, width=1400, scheme="light")
    assert tab.evaluate("window.hit ?? null") is not None
    assert {"/x.js", "/x.png", "/x.css", "/frame"} <= set(server.asked)
    assert tab.evaluate("document.baseURI") == f"http://127.0.0.1:{server.server_port}/"

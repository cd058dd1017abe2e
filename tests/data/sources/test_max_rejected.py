"""`data.max_rejected`: a part that has overdrawn it is read no further, whichever part it is."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from recap.data.benchmarks.mmbench import REQUIRED, write_table
from recap.data.benchmarks.registry import BENCHMARKS
from recap.data.formats.source import Source
from recap.data.sources import examination
from recap.data.sources.pictures import Terms
from recap.data.sources.preparation import take_benchmark
from recap.data.sources.rejections import WORTH_COUNTING, Budget, Part, Rejection, require_few_rejections
from recap.data.sources.user_conversations import take_conversations
from recap.data.sources.user_corpus import take_corpus
from recap.runtime.errors import UserError

ROWS, BROKEN = 200, 60


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pictures that are decoded."""
    seen: list[str] = []
    facts = examination._facts

    def counted(content: bytes, name: str):
        seen.append(name)
        return facts(content, name)

    monkeypatch.setattr(examination, "_facts", counted)
    return seen


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A picture for each row; the first sixty are broken."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    for number in range(ROWS):
        path = folder / "images" / f"{number}.jpg"
        Image.new("RGB", (8 + number, 6)).save(path)
        if number < BROKEN:
            path.write_bytes(path.read_bytes()[:100])
    return folder


def corpus(source: Path, out: Path, terms: Terms) -> Part:
    lines = [{"id": number, "caption": "a square", "image": f"images/{number}.jpg"} for number in range(ROWS)]
    (source / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return take_corpus(source / "train.jsonl", out, terms)


def finetune(source: Path, out: Path, terms: Terms) -> Part:
    turns = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}]
    rows = [{"id": number, "image": f"images/{number}.jpg", "conversations": turns} for number in range(ROWS)]
    (source / "finetune.json").write_text(json.dumps(rows))
    return take_conversations(source / "finetune.json", out, terms)


def gqa(source: Path, out: Path, terms: Terms) -> Part:
    questions = {str(number): {"question": "q", "answer": "a", "imageId": str(number)} for number in range(ROWS)}
    (source / "testdev_balanced_questions.json").write_text(json.dumps(questions))
    return take_benchmark(BENCHMARKS["gqa"], source / "testdev_balanced_questions.json", out, terms)


def mmbench(source: Path, out: Path, terms: Terms) -> Part:
    def cell(number: int) -> str:
        return base64.b64encode((source / f"images/{number}.jpg").read_bytes()).decode()

    rows = [
        {"index": str(number + 1), "question": "q", "A": "x", "B": "y", "answer": "A", "image": cell(number)}
        for number in range(ROWS)
    ]
    for row in rows[:BROKEN]:  # what is left of them is the same, and would be one picture
        row["image"] = base64.b64encode(base64.b64decode(row["image"]) + row["index"].encode()).decode()
    write_table(source / "mmbench_dev.tsv", REQUIRED, rows)
    return take_benchmark(BENCHMARKS["mmbench"], source / "mmbench_dev.tsv", out, terms)


Take = Callable[[Path, Path, Terms], Part]
PARTS = pytest.mark.parametrize("take", [corpus, finetune, gqa, mmbench])


@PARTS
def test_nothing_more_is_decoded_than_is_in_flight(
    source: Path, tmp_path: Path, decoded: list[str], take: Take
) -> None:
    part = take(source, tmp_path / "out", Terms(max_rejected=15.0))
    assert (len(part.rejections), part.unread, part.total) == (31, ROWS - 31 - part.rows, ROWS)
    assert part.rows == 0
    assert 31 <= len(decoded) <= 31 + examination.CHUNK
    assert not list((tmp_path / "out").rglob("index.parquet"))
    with pytest.raises(UserError, match=r"found 31 of 200 rejected \(15\.5 %: broken_image 31; the others were not"):
        require_few_rejections(part, 15.0, "part", tmp_path / "rejected.jsonl")


@PARTS
def test_what_the_limit_allows_is_taken(source: Path, tmp_path: Path, decoded: list[str], take: Take) -> None:
    part = take(source, tmp_path / "out", Terms(max_rejected=30.0))
    assert (part.rows, len(part.rejections), part.unread) == (ROWS - BROKEN, BROKEN, 0)
    assert len(decoded) == len(set(decoded)) == ROWS


def test_a_resumed_corpus_has_spent_what_it_had(source: Path, tmp_path: Path, decoded: list[str]) -> None:
    (tmp_path / "work").mkdir()
    terms = Terms(max_rejected=15.0, work=tmp_path / "work")
    first = corpus(source, tmp_path / "out", terms)
    again = corpus(source, tmp_path / "out", terms)
    assert first == again


def test_rows_of_a_corpus_are_counted_only_if_it_matters(source: Path, tmp_path: Path, monkeypatch) -> None:
    counts: list[int] = []
    count = Source.count
    monkeypatch.setattr(Source, "count", lambda self: counts.append(count(self)) or counts[-1])
    corpus(source, tmp_path / "lenient", Terms(max_rejected=100.0))
    assert counts == []
    corpus(source, tmp_path / "strict", Terms(max_rejected=15.0))
    assert counts == [ROWS]


def rejection(name: str) -> Rejection:
    return Rejection("x:1", name, "broken_image", "")


@pytest.mark.parametrize("rejected", range(12))
def test_the_early_limit_is_the_late_one(rejected: int) -> None:
    """A budget is overdrawn exactly where the whole part would be refused."""
    part = Part("user", 11 - rejected, [rejection("x")] * rejected)
    for limit in (0.0, 5.0, 100 / 11, 50.0, 100.0):
        assert Budget(limit, 11, rejected=rejected).is_overdrawn() == (part.rejected_percent > limit)


def test_a_picture_costs_its_rows() -> None:
    budget = Budget(50.0, 10, rows_of={"a": 5, "b": 1})
    for name, overdrawn in (("a", False), ("unknown", False), ("b", True)):
        budget.spend(rejection(name))
        assert budget.is_overdrawn() == overdrawn


def test_a_bad_beginning_is_not_the_whole() -> None:
    budget = Budget(5.0, lambda: 1000)
    for read in range(1, 51):
        budget.spend(rejection("x"))
        assert not budget.is_overdrawn(read)
    budget.spend(rejection("x"))
    assert budget.is_overdrawn(51) and budget.rejected > WORTH_COUNTING

"""A user's TextVQA, VQAv2, OK-VQA or GQA questions, in the official formats, into `data/benchmarks/<name>/`.

Every item is kept whole, with whatever fields it has; only what inference and scoring need is checked. An image is
found by its id in the usual folders, and packed under its official name.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.gqa import GQA
from recap.data.benchmarks.textvqa import OCR_FILE, TextVQA, prompts_missing
from recap.data.benchmarks.vqav2 import VQA, coco_name
from recap.data.corpus.images import BadImage
from recap.data.formats.fields import BadRow, as_object, best_effort_id, identifier, is_index, text
from recap.data.sources.pictures import DEFAULT_TERMS, PictureFinder, Terms, pack_pictures, picture
from recap.data.sources.rejections import Budget, Part
from recap.data.sources.user_json import is_writable, read_user_object
from recap.io import write_json
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TakenQuestion:
    """One usable question: the item as the user wrote it, and its picture."""

    where: str
    id: str
    item: dict[str, Any]
    file: str  # relative to the questions' folder
    image: str  # the picture's official name, a path below the benchmark's folder


Check = Callable[[dict[str, Any]], tuple[str, str, str]]  # item -> question id, image's file, its official name


def take_textvqa(benchmark: TextVQA, questions_file: Path, folder: Path, terms: Terms = DEFAULT_TERMS) -> Part:
    """Copy TextVQA's questions, and the file with OCR tokens if it lies beside them."""
    root = questions_file.parent
    finder = PictureFinder(root, (benchmark.images_folder, "images", ""))

    def check(item: dict[str, Any]) -> tuple[str, str, str]:
        question_id = identifier(item, "question_id")
        _words(item, "question")
        _ten_answers(item.get("answers"))
        image_id = identifier(item, "image_id")
        file = finder.find(image_id)
        return question_id, file, f"{benchmark.images_folder}/{image_id}{Path(file).suffix}"

    source = _questions(questions_file, benchmark)
    items = _numbered(_items(source, benchmark.rows_key, questions_file), questions_file)
    taken = _take(root, folder, benchmark.name, items, check, terms)
    rows = [question.item for question in taken.kept]
    write_json(folder / benchmark.questions_files[0], _with_rows(source, benchmark.rows_key, rows))
    if (root / OCR_FILE).is_file():
        shutil.copyfile(root / OCR_FILE, folder / OCR_FILE)
        if missing := prompts_missing(root / OCR_FILE, rows):
            logger.warning(
                "warning: %s has no line for %d of %d questions, among them %s: textvqa_ocr cannot be asked",
                root / OCR_FILE, len(missing), len(rows), missing[0],
            )  # fmt: skip
    return taken.part


def take_gqa(benchmark: GQA, questions_file: Path, folder: Path, terms: Terms = DEFAULT_TERMS) -> Part:
    """Copy GQA's questions, a JSON object from question id to question."""
    root = questions_file.parent
    finder = PictureFinder(root, (benchmark.images_folder, ""))

    def check(item: dict[str, Any]) -> tuple[str, str, str]:
        _words(item, "question")
        _words(item, "answer")
        image_id = identifier(item, "imageId")
        return "", finder.find(image_id), f"{benchmark.images_folder}/{image_id}.jpg"

    items = ((f"{questions_file.name}:{key}", value) for key, value in _questions(questions_file, benchmark).items())
    taken = _take(root, folder, benchmark.name, items, check, terms)
    by_id = {question.where.split(":", 1)[1]: question.item for question in taken.kept}
    write_json(folder / benchmark.questions_files[0], by_id)
    return taken.part


def take_vqa(benchmark: VQA, questions_file: Path, folder: Path, terms: Terms = DEFAULT_TERMS) -> Part:
    """Copy the questions of VQAv2 or OK-VQA and, from beside them, their annotations. Ids are compared as text."""
    root = questions_file.parent
    annotations_file = root / benchmark.annotations_file
    annotation_source = read_user_object(annotations_file, f"the annotations of {questions_file.name}")
    annotations = {
        annotation_id: annotation
        for annotation in _items(annotation_source, benchmark.annotations_key, annotations_file)
        if (annotation_id := best_effort_id(annotation, "question_id")) is not None
    }
    finder = PictureFinder(root, (benchmark.images_folder, "images", ""))

    def check(item: dict[str, Any]) -> tuple[str, str, str]:
        question_id = identifier(item, "question_id")
        _words(item, "question")
        if question_id not in annotations:
            raise BadRow("no_annotation", f"{annotations_file.name} has no question_id {question_id}")
        annotation = annotations[question_id]
        _answer_objects(annotation.get("answers"))
        if not is_writable(annotation):
            raise BadRow("broken_text", "its annotation holds half of a surrogate pair")
        image_id = _whole_number(item, "image_id")
        official = coco_name(image_id)
        # As in val2014, as in val2017, and bare.
        file = finder.find(official, f"{image_id:012d}", str(image_id))
        return question_id, file, f"{benchmark.images_folder}/{official}.jpg"

    source = _questions(questions_file, benchmark)
    items = _numbered(_items(source, benchmark.rows_key, questions_file), questions_file)
    taken = _take(root, folder, benchmark.name, items, check, terms)
    rows = [_plain_id(question.item) for question in taken.kept]
    chosen = [_plain_id(annotations[question.id]) for question in taken.kept]
    write_json(folder / benchmark.questions_files[0], _with_rows(source, benchmark.rows_key, rows))
    write_json(folder / annotations_file.name, _with_rows(annotation_source, benchmark.annotations_key, chosen))
    return taken.part


@dataclass(frozen=True)
class Taken:
    """What became of a file's questions: none is kept where some were left unread."""

    kept: list[TakenQuestion]
    rejections: list[Fault]
    unread: int = 0

    @property
    def part(self) -> Part:
        return Part("user", len(self.kept), self.rejections, self.unread)


def _take(root: Path, folder: Path, name: str, items: Iterable[tuple[str, Any]], check: Check, terms: Terms) -> Taken:
    """Check every item, then every picture, which is packed, then that no question id comes twice."""
    rows = [_read(where, item, check) for where, item in items]
    questions = [row for row in rows if isinstance(row, TakenQuestion)]
    shown = Counter(question.image for question in questions)
    budget = Budget(terms.max_rejected, len(rows), rejected=len(rows) - len(questions), rows_of=shown)
    # From the whole source: a link may lead out of the benchmark's folder to pictures that others share.
    source = terms.source or root
    here = root.relative_to(source)
    # Of several files for one name the first.
    pictures = {row.image: picture(row.image, row.where, path=str(here / row.file)) for row in reversed(questions)}
    broken = pack_pictures((pictures[image] for image in shown), source, folder, what=name, terms=terms, budget=budget)
    kept: list[TakenQuestion] = []
    rejections = []
    seen: set[str] = set()
    for row in rows:
        if isinstance(row, Fault):
            rejections.append(row)
        elif (fault := broken.get(row.image)) is not None:
            rejections.append(fault.at(row.where, row.id))
        elif row.id in seen:
            rejections.append(Fault(row.where, row.id, "duplicate_id", "an earlier question has this question_id"))
        else:
            seen.add(row.id)
            kept.append(row)
    return Taken([], rejections, unread=len(kept)) if budget.is_overdrawn() else Taken(kept, rejections)


def _read(where: str, item: Any, check: Check) -> TakenQuestion | Fault:
    try:
        question_id, file, image = check(as_object(item))
        if not is_writable([where, item]):
            raise BadRow("broken_text", "expected text that UTF-8 can hold, found half of a surrogate pair")
    except (BadRow, BadImage) as error:
        return error.at(where, best_effort_id(item, "question_id"))
    return TakenQuestion(where, question_id or where, item, file, image)


def _questions(path: Path, benchmark: Benchmark) -> dict[str, Any]:
    return read_user_object(path, f"{benchmark.title}'s questions")


def _with_rows(source: dict[str, Any], key: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A file as the user wrote it with other rows; what stands beside them is kept where it can be written down."""
    return {
        name: rows if name == key else value
        for name, value in source.items()
        if name == key or is_writable([name, value])
    }


def _plain_id(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose id is no float: 1.0 and 1 are one question, to which readers would give two names."""
    return {**row, "question_id": int(row["question_id"])} if isinstance(row["question_id"], float) else row


def _whole_number(item: dict[str, Any], key: str) -> int:
    found = best_effort_id(item, key)
    if found is None or not is_index(found):
        raise BadRow("broken_question", f"expected {key!r} to be a whole number, found {item.get(key)!r:.80}")
    return int(found)


def _items(source: dict[str, Any], key: str, path: Path) -> list[Any]:
    if not isinstance(source.get(key), list):
        raise UserError(f"{path}: expected a list under {key!r}, found {type(source.get(key)).__name__}")
    items: list[Any] = source[key]
    return items


def _numbered(items: list[Any], path: Path) -> Iterable[tuple[str, Any]]:
    return ((f"{path.name}:item {number}", item) for number, item in enumerate(items, start=1))


def _words(item: dict[str, Any], key: str) -> None:
    if not text(item, key, reason="broken_question").strip():
        raise BadRow("broken_question", f"expected words under {key!r}, found none")


def _ten_answers(answers: Any) -> None:
    if not isinstance(answers, list) or len(answers) != 10 or not all(isinstance(answer, str) for answer in answers):
        found = f"{len(answers)} items" if isinstance(answers, list) else repr(answers)[:80]
        raise BadRow("broken_answers", f"expected ten answers, found {found}")


def _answer_objects(answers: Any) -> None:
    whole = isinstance(answers, list) and answers
    if not whole or not all(isinstance(item, dict) and isinstance(item.get("answer"), str) for item in answers):
        raise BadRow("broken_answers", "expected a list of objects with an 'answer' each")

import json
import pickle

import pytest

from recap.data.corpus.images import BadImage
from recap.data.corpus.references import Unresolved
from recap.data.formats.fields import BadRow
from recap.runtime.errors import one_line
from recap.runtime.faults import Fault, Unusable, by_reason, first_of, reasons_of

ROW = Fault("train.jsonl:17", "8", "no_image", "expected a path, found None")
IMAGE = Fault("images/1.jpg", None, "broken_image", "cut off")


def test_a_fault_says_where_it_is() -> None:
    assert str(ROW) == "train.jsonl:17 (id 8): no_image: expected a path, found None"
    assert str(IMAGE) == "images/1.jpg: broken_image: cut off"


def test_a_row_of_a_list_of_faults_is_the_fault() -> None:
    assert Fault(**json.loads(json.dumps(ROW.to_row()))) == ROW
    assert IMAGE.to_row() == {"where": "images/1.jpg", "id": None, "reason": "broken_image", "detail": "cut off"}
    half = Fault("caf\udce9.tar:1", "\ud800", "r", "d").to_row()
    assert json.dumps(half, ensure_ascii=False).encode("utf-8").decode().startswith('{"where": "caf\\\\udce9.tar:1"')


@pytest.mark.parametrize("kind", [BadImage, BadRow, Unresolved])
def test_an_exception_carries_what_a_fault_has(kind: type[Unusable]) -> None:
    error = kind("missing_image", "no such file")
    assert str(error) == "missing_image: no such file"
    assert error.at("a.json:1", "x") == Fault("a.json:1", "x", "missing_image", "no such file")
    # From process to process, as workers send what they raise.
    assert pickle.loads(pickle.dumps(error)).at("a.jpg") == Fault("a.jpg", None, "missing_image", "no such file")


def test_several_faults_in_a_message() -> None:
    faults = [ROW, IMAGE, ROW]
    assert by_reason(faults) == {"broken_image": 1, "no_image": 2}
    assert reasons_of(faults) == "broken_image 1, no_image 2"
    assert first_of(faults) == f"; first: {ROW}"
    assert reasons_of([]) == first_of([]) == ""


def test_one_line() -> None:
    assert one_line(ValueError("two\n  lines\t here ")) == "two lines here"
    assert one_line("a\nlong text", 6) == "a long"
    assert one_line(EOFError()) == "EOFError"

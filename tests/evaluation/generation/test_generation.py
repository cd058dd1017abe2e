"""Answers of a real, random MGM: the same for every batch size, order and interruption."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from recap.data.benchmarks.questions import Question
from recap.data.benchmarks.registry import BENCHMARKS
from recap.evaluation.generation.answer_files import answer_rows
from recap.evaluation.generation.answerer import Answerer, blank_image, load_for_inference, open_question_image
from recap.evaluation.generation.decoding import GreedyDecoder
from recap.runtime.scratch import Journal

MakeAnswerer = Callable[..., Answerer]


@pytest.fixture(scope="module")
def loaded(tiny_mgm: Path) -> tuple[Any, Any]:
    return load_for_inference(tiny_mgm, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(8):
        image = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
        image.paste((37 * number % 256, 91 * number % 256, 200), (number, number, 20, 20))
        image.save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    return folder


def make_questions(count: int, image: str | None = None) -> list[Question]:
    words = ["red", "sign", "what", "cat", "how many"]
    questions = []
    for number in range(count):
        name = image or f"{number % 8}.png"
        text = " ".join(words[(number * step) % 5] for step in range(1, 3 + number % 4)) + "?\nAnswer."
        questions.append(Question(str(number), number, name, name, text, text, ("red",)))
    return questions


@pytest.fixture
def make(loaded: tuple[Any, Any], photographs: Path, tmp_path: Path) -> MakeAnswerer:
    def make_answerer(**settings: Any) -> Answerer:
        settings = {"journal": Journal(tmp_path / "replies.jsonl"), "batch_size": 4, "folder": photographs} | settings
        return Answerer(*loaded, max_new_tokens=6, image_aspect_ratio="pad", **settings)

    return make_answerer


def test_answers_do_not_depend_on_the_batch_size(make: MakeAnswerer, tmp_path: Path) -> None:
    questions = make_questions(24)
    answers = {
        size: make(batch_size=size, journal=Journal(tmp_path / f"{size}.jsonl")).answer(questions) for size in (1, 5)
    }
    assert answers[1] == answers[5]
    assert list(answers[5]) == [question.key for question in questions]
    assert len({reply.text for reply in answers[1].values()}) > 8


def test_near_ties_are_decoded_alone(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    ids = torch.tensor([processor.expand(processor.tokenize(processor.prompt("what?")))[0]] * 3)
    pixels = dict(processor.image_processor([blank_image([0.5] * 3)] * 3))
    texts = {}
    for margin, alone in ((0.0, 0), (1e9, 3)):
        decoder = GreedyDecoder(model, eos_token_id=1, pad_token_id=0, max_new_tokens=4, tie_margin=margin)
        texts[margin] = decoder.decode(ids, pixels)
        assert decoder.num_decoded_alone == alone
    assert texts[0.0] == texts[1e9]


def test_an_answer_ends_at_eos(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    ids = torch.tensor([processor.expand(processor.tokenize(processor.prompt("what?")))[0]])
    pixels = dict(processor.image_processor(blank_image([0.5] * 3)))

    def decode(eos_token_id: int) -> list[int]:
        decoder = GreedyDecoder(model, eos_token_id=eos_token_id, pad_token_id=0, max_new_tokens=6)
        return decoder.decode(ids, pixels)[0]

    unending = decode(eos_token_id=1)
    assert len(unending) == 6
    third = unending[2]
    assert decode(eos_token_id=third) == unending[: unending.index(third)]


def test_answers_equal_generation_through_the_processor_itself(
    make: MakeAnswerer, loaded: tuple[Any, Any], photographs: Path
) -> None:
    model, processor = loaded
    questions = make_questions(4)
    replies = make().answer(questions)
    for question in questions:
        inputs = processor(
            text=[processor.prompt(question.text)], images=[Image.open(photographs / question.image).convert("RGB")]
        )
        output = model.generate(**inputs, max_new_tokens=6, do_sample=False, eos_token_id=1, pad_token_id=0)
        new = output[0, inputs["input_ids"].shape[1] :]
        assert replies[question.key].text == processor.tokenizer.decode(new, skip_special_tokens=True).strip()


def test_equal_requests_are_asked_once(make: MakeAnswerer) -> None:
    questions = make_questions(1, image="0.png") * 3
    questions = [Question(str(n), n, q.image, q.image_id, q.question, q.text, ()) for n, q in enumerate(questions)]
    answerer = make()
    assert len(set(answerer.answer(questions).values())) == 1
    assert answerer.num_asked == 1


def test_an_interrupted_run_goes_on_and_ends_alike(make: MakeAnswerer, tmp_path: Path) -> None:
    questions = make_questions(12)
    whole = make(journal=Journal(tmp_path / "whole.jsonl")).answer(questions)
    interrupted = make()
    done = 0

    class Killed(Exception):
        pass

    decode = interrupted.decoder.decode

    def die_at_the_third_batch(*args: Any) -> list[list[int]]:
        nonlocal done
        done += 1
        if done == 3:
            raise Killed
        return decode(*args)

    interrupted.decoder.decode = die_at_the_third_batch  # type: ignore[method-assign]
    with pytest.raises(Killed):
        interrupted.answer(questions)
    with (tmp_path / "replies.jsonl").open("a") as stream:
        stream.write('{"request": "torn')
    resumed = make(batch_size=6)
    assert resumed.answer(questions) == whole
    assert 0 < resumed.num_asked == 12 - interrupted.num_asked


def test_a_broken_image_costs_its_question_only(make: MakeAnswerer) -> None:
    good = make_questions(3)
    bad = [
        Question("b", 9, "broken.jpg", "broken.jpg", "q", good[0].text, ()),
        Question("m", 9, "gone.jpg", "gone.jpg", "q", good[0].text, ()),
        Question("o", 9, "../x.jpg", "../x.jpg", "q", good[0].text, ()),
        Question("e", 9, "data:;base64,", "e", "q", good[0].text, ()),
    ]
    replies = make().answer([*bad, *good])
    reasons = [reply.fault and reply.fault.reason for reply in replies.values()]
    assert reasons == ["broken_image", "missing_image", "path_leaves_root", "broken_image", None, None, None]


def test_blank_images_are_one_colour_and_change_answers(make: MakeAnswerer) -> None:
    questions = make_questions(8)
    answerer = make()
    shown, blank = answerer.answer(questions), answerer.answer(questions, blank=True)
    assert sum(shown[key].text != blank[key].text for key in shown) >= 4
    same_text = [make_questions(1, image=f"{n}.png")[0] for n in range(3)]
    assert len({reply.text for reply in answerer.answer(same_text, blank=True).values()}) == 1


@pytest.mark.parametrize("size", [(64, 64), (400, 370), (31, 97)])
@pytest.mark.parametrize("image_aspect_ratio", ["pad", "square"])
def test_a_blank_image_is_the_same_at_every_size(
    loaded: tuple[Any, Any], size: tuple[int, int], image_aspect_ratio: str
) -> None:
    preprocess = loaded[1].image_processor
    blank = blank_image(preprocess.image_mean)
    pixels = preprocess(blank, image_aspect_ratio=image_aspect_ratio)
    resized = preprocess(Image.new("RGB", size, blank.getpixel((0, 0))), image_aspect_ratio=image_aspect_ratio)
    for name, value in resized.items():
        assert torch.equal(value, pixels[name])
        assert all(float(channel.max() - channel.min()) < 1e-5 for channel in value[0])


def test_embedded_images_are_decoded(mmbench_folder: Path) -> None:
    question = BENCHMARKS["mmbench"].load(mmbench_folder)[1]
    image = open_question_image(question, mmbench_folder)
    assert (image.mode, image.size) == ("RGB", (40, 30))


def test_answer_rows_have_llavas_fields_and_a_key(make: MakeAnswerer) -> None:
    questions = [*make_questions(2), Question("b", 9, "broken.jpg", "broken.jpg", "q", "q?\nAnswer.", ())]
    replies = make().answer(questions)
    rows = answer_rows(questions, replies, model_id="merged")
    assert rows == answer_rows(questions, replies, model_id="merged")
    assert list(rows[0]) == ["question_id", "prompt", "text", "answer_id", "model_id", "metadata", "key"]
    assert rows[0]["prompt"] == questions[0].text and rows[0]["metadata"] == {}
    assert rows[2]["text"] == "" and rows[2]["metadata"]["unanswered"] == "broken_image"
    blank = answer_rows(questions, replies, model_id="merged", blank=True)
    assert blank[0]["metadata"] == {"blank_image": True}
    assert len({row["answer_id"] for row in rows + blank}) == 6

import base64
import json

import pytest

from recap.data.corpus.images import open_image, stored_image
from recap.data.corpus.index import CorpusIndex
from recap.data.corpus.records import read_conversations
from recap.data.sources.user_conversations import take_conversations
from recap.models.mgm.conversation import training_text
from recap.runtime.errors import UserError


def talk(*said: str, speakers=("human", "gpt")) -> list[dict[str, str]]:
    return [{"from": speakers[number % 2], "value": value} for number, value in enumerate(said)]


def row(row_id="1", image: object = "images/a.jpg", conversations: object = None, **more) -> dict:
    asked = talk("<image>\nwhat color is it?", "red") if conversations is None else conversations
    return {"id": row_id, "image": image, "conversations": asked, **more}


def test_sound_conversations_are_kept(user, tmp_path) -> None:
    rows = [
        row("1"),
        row("1"),
        {"id": 2, "conversations": talk("what is 1 + 1?", "2", "and 2 + 2?", "4")},
        row(extra=1),
    ]
    part = take_conversations(user.json("finetune.json", rows), tmp_path / "out")
    kept = read_conversations(tmp_path / "out" / "train.json")
    assert (part.rows, part.rejections) == (4, [])  # ids may repeat
    assert kept[0] == rows[0] == kept[3]
    assert kept[2] == {"id": "2", "conversations": rows[2]["conversations"]}
    assert open_image(tmp_path / "out", "images/a.jpg").size == (40, 30)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("text", "not_an_object"),
        (row(row_id=[1]), "missing_id"),
        (row(image=3), "no_image"),
        (row(image=["images/a.jpg", "images/b.png"]), "several_images"),
        (row(image={"bytes": None, "path": None}), "no_image"),
        (row(image={"bytes": "/9j/4AAQ", "path": None}), "broken_image"),
        (row(image="/9j/4AAQSkZJRg" * 100), "broken_image"),
        (row(image="data:image/jpeg;base64,/9j/4AAQ%"), "broken_image"),
        (row(image="images/none.jpg"), "missing_image"),
        (row(image="../a.jpg"), "path_leaves_root"),
        (row(image="train.json"), "missing_image"),
        (row(conversations=[]), "broken_conversation"),
        (row(conversations="hi"), "broken_conversation"),
        (row(conversations=talk("<image>\nalone")), "broken_conversation"),
        (row(conversations=talk("<image>\nq", "a", speakers=("gpt", "human"))), "broken_conversation"),
        (row(conversations=talk("<image>\nq", "")), "broken_conversation"),
        (row(conversations=[{"from": "human"}, {"from": "gpt", "value": "a"}]), "broken_conversation"),
        (row(conversations=talk("q", "a")), "image_tag_mismatch"),
        (row(conversations=talk("<image>\nq", "a", "and <image>?", "b")), "image_tag_mismatch"),
        (row(conversations=talk("q", "<image>\na")), "image_tag_mismatch"),
        (row(conversations=talk("q", "a", "thanks <image>")), "image_tag_mismatch"),
        (row(conversations=talk("<image>\nq", "a<eos>")), "broken_conversation"),
        (row(conversations=talk("<image>\nq", "a", "and?", " ")), "broken_conversation"),
        (row(conversations=talk("<image>\nq", "a", "b", "c", speakers=("human", "human"))), "broken_conversation"),
        (row(conversations=[{"from": "narrator", "value": "<image>"}]), "broken_conversation"),
        (row(image=None), "image_tag_mismatch"),
        (row(conversations=talk("<image>\nq \ud83d", "a")), "broken_text"),
    ],
)
def test_a_fault_costs_its_own_conversation(user, tmp_path, bad, reason: str) -> None:
    part = take_conversations(user.json("finetune.json", [row("0"), bad]), tmp_path / "out")
    assert part.rows == 1
    assert [(rejection.where, rejection.reason) for rejection in part.rejections] == [("finetune.json:item 2", reason)]


def test_a_file_that_is_no_list_is_one_clear_line(user, tmp_path) -> None:
    with pytest.raises(UserError, match=r"finetune\.json: expected a JSON list of conversations, found dict"):
        take_conversations(user.json("finetune.json", {"id": 1}), tmp_path / "out")


def taken(folder) -> list[dict]:
    return read_conversations(folder / "train.json")


def test_rows_are_read_from_a_list_or_from_lines_with_a_byte_order_mark(user, tmp_path) -> None:
    rows = [row(str(number)) for number in range(3)]
    spellings = {
        "list.json": json.dumps(rows),
        "lines.json": "\n".join(map(json.dumps, rows)),
        "lines.jsonl": json.dumps(rows[0]),
    }
    for name, text in spellings.items():
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            (user.path / name).write_bytes(text.encode(encoding))
            part = take_conversations(user.path / name, tmp_path / "out")
            assert part.rejections == [], (name, encoding)
            assert taken(tmp_path / "out") == rows[: part.rows]
    (user.path / "lines.json").write_text("\n".join([json.dumps(rows[0]), "{", json.dumps(rows[1])]))
    part = take_conversations(user.path / "lines.json", tmp_path / "out")
    assert [(rejection.where, rejection.reason) for rejection in part.rejections] == [("lines.json:2", "broken_json")]


@pytest.mark.parametrize(
    "image", [["images/a.jpg"], {"bytes": None, "path": "images/a.jpg"}, "./images/a.jpg", "images\\a.jpg"]
)
def test_an_image_is_one_path_however_it_is_written(user, tmp_path, image) -> None:
    take_conversations(user.json("finetune.json", [row(image=image)]), tmp_path / "out")
    assert taken(tmp_path / "out")[0]["image"] == "images/a.jpg"
    assert open_image(tmp_path / "out", "images/a.jpg").size == (40, 30)


def test_rows_without_an_id_get_one(user, tmp_path) -> None:
    rows = [row(row_id=None), {key: value for key, value in row().items() if key != "id"}]
    take_conversations(user.json("finetune.json", rows), tmp_path / "out")
    assert [item["id"] for item in taken(tmp_path / "out")] == ["finetune.json:item 1", "finetune.json:item 2"]


PAIR = talk("<image>\nq", "a")


@pytest.mark.parametrize(
    ("given", "trained"),
    [
        ([{"from": "gpt", "value": "hello, ask me"}, *PAIR], PAIR),
        ([*PAIR, {"from": "human", "value": "thanks!"}], PAIR),
        ([{"from": "user", "value": "<image>\nq"}, {"from": "Assistant", "value": "a"}], PAIR),
        ([{"role": "user", "content": "<image>\nq"}, {"role": "assistant", "content": "a"}], PAIR),
        (
            [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "q"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            ],
            PAIR,
        ),
        (talk("what <image>?", "a"), talk("what <image>?", "a")),
        (talk("<image>\n<image>\nq", "a"), talk("<image>\n<image>\nq", "a")),
    ],
)
def test_turns_are_taken_as_the_original_trains_them(user, tmp_path, given, trained) -> None:
    rows = [row(conversations=given), {"id": 1, "images": ["images/a.jpg"], "messages": given}]
    assert take_conversations(user.json("finetune.json", rows), tmp_path / "out").rejections == []
    for item in taken(tmp_path / "out"):
        assert item["conversations"] == trained
        training_text(item["conversations"], has_image=True)  # the trainer takes what is taken here


def test_a_system_message_is_named(user, tmp_path) -> None:
    rows = [row(), row(conversations=[{"from": "system", "value": "be brief"}, *PAIR])]
    (rejection,) = take_conversations(user.json("finetune.json", rows), tmp_path / "out").rejections
    assert rejection.reason == "broken_conversation"
    assert "message 1: a system message" in rejection.detail and "first human message" in rejection.detail


def test_a_picture_in_place_of_its_path_is_taken(user, tmp_path) -> None:
    content = (user.path / "images/a.jpg").read_bytes()
    text = base64.b64encode(content).decode()
    spellings = [text, f"data:image/jpeg;base64,{text}", {"bytes": text, "path": "a.jpg"}, [text]]
    rows = [row(image=image) for image in spellings]
    assert take_conversations(user.json("finetune.json", rows), tmp_path / "out").rejections == []
    (image,) = {item["image"] for item in taken(tmp_path / "out")}
    assert image.startswith("embedded/") and image.endswith(".jpg")
    assert stored_image(CorpusIndex(tmp_path / "out"), image) == content


def test_a_broken_picture_in_place_of_its_path_is_not_listed_whole(user, tmp_path) -> None:
    rows = [row(), row(image="/9j/4AAQSkZJRg" * 10000)]
    (rejection,) = take_conversations(user.json("finetune.json", rows), tmp_path / "out").rejections
    assert rejection.reason == "broken_image" and len(rejection.detail) < 200


@pytest.mark.parametrize(
    ("case", "rows", "reasons"),
    [
        ("01-bom-finetune", 40, {}),
        ("02-finetune-as-jsonl", 40, {}),
        ("03-image-list-of-one", 40, {}),
        ("04-turn-order", 38, {"broken_conversation": 2}),
        ("05-image-token-in-answer", 36, {"image_tag_mismatch": 4}),
        ("06-extension-differs", 60, {}),
        ("16-base64-in-image-field", 40, {}),
    ],
)
def test_what_people_bring(shared, tmp_path, case: str, rows: int, reasons: dict[str, int]) -> None:
    part = take_conversations(shared / "cases" / case / "finetune.json", tmp_path / "out")
    assert (part.rows, part.by_reason()) == (rows, reasons)

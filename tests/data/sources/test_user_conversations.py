import pytest

from recap.data.corpus.records import read_conversations
from recap.data.sources.user_conversations import take_conversations
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
    assert (tmp_path / "out/images/a.jpg").is_file()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("text", "not_an_object"),
        (row(row_id=None), "missing_id"),
        (row(image=3), "no_image"),
        (row(image=["images/a.jpg"]), "several_images"),
        (row(image="images/none.jpg"), "missing_image"),
        (row(image="../a.jpg"), "path_leaves_root"),
        (row(image="train.json"), "reserved_name"),
        (row(conversations=[]), "broken_conversation"),
        (row(conversations="hi"), "broken_conversation"),
        (row(conversations=talk("<image>\nalone")), "broken_conversation"),
        (row(conversations=talk("<image>\nq", "a", speakers=("gpt", "human"))), "broken_conversation"),
        (row(conversations=talk("<image>\nq", "")), "broken_conversation"),
        (row(conversations=[{"from": "human"}, {"from": "gpt", "value": "a"}]), "broken_conversation"),
        (row(conversations=talk("q", "a")), "image_tag_mismatch"),
        (row(conversations=talk("<image> <image>\nq", "a")), "image_tag_mismatch"),
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

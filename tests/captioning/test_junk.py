import pytest

from recap.captioning.junk import junk_reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" .,! \n", "empty"),
        ("a cat a cat a cat", "loop"),
        ("dog dog dog dog", "loop"),
        ("a man riding a wave a man riding a wave", "loop"),
        ("a dog and a dog and a dog and a dog", "loop"),
        ("a house with a house and a house in a house with a house and the house", "loop"),
        ("hahahahahaha", "loop"),
        ("汽车汽车汽车汽车汽车", "loop"),
        ("stock photo", "boilerplate"),
        ("a picture of", "boilerplate"),
        ("A picture of a picture.", "boilerplate"),
        ("no image available", "boilerplate"),
        ("royalty free stock images", "boilerplate"),
        ("this is an image", "boilerplate"),
        ("getty images", "boilerplate"),
    ],
)
def test_junk(text: str, reason: str) -> None:
    assert junk_reason(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "a photo of a dog",
        "a picture of a cat",
        "stock photo of a woman",
        "a bird and a bird house",
        "two dogs and two cats",
        "a man with a hat and a man with a beard",
        "a red car, a red bus and a red taxi in front of a red house on a red street",
        "new york, new york",
        "a stop sign that says stop stop",
        "very very very tall",
        "dog",
        "Anna",
        "Photo shop",
        "a close up of a bee",
        "no parking",
        "10000000000 dollars",
        "Walla Walla, Washington",
        "the more the merrier",
        "公交车",
        "mississippi",
        "a black and white photo of a street",
    ],
)
def test_captions_are_no_junk(text: str) -> None:
    assert junk_reason(text) is None


@pytest.mark.parametrize(
    ("text", "prompt", "reason"),
    [
        ("a photo of", "a photo of", "prompt_echo"),
        ("A photo of a photo of a photo of", "a photo of", "prompt_echo"),
        ("Question: what is it", "Question: what is it? Answer:", "prompt_echo"),
        ("a photo of a bus", "a photo of", None),
        ("a bus", "a photo of a", None),
        ("a", "a photo of a", "boilerplate"),
    ],
)
def test_an_echo_is_nothing_but_the_prompt(text: str, prompt: str, reason: str | None) -> None:
    assert junk_reason(text, prompt) == reason


def test_a_caption_that_was_cut_off_is_marked_last() -> None:
    assert junk_reason("a bus in front of", truncated=True) == "cut_off"
    assert junk_reason("bus bus bus bus", truncated=True) == "loop"


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("公交车", "en", "language"),
        ("公交车", "zh", None),
        ("a bus", "zh", "language"),
        ("красный автобус", "ru", None),
        ("красный автобус", "de", "language"),
        ("a café", "en", None),
        ("42", "zh", None),
    ],
)
def test_a_script_tells_some_languages(text: str, language: str, reason: str | None) -> None:
    assert junk_reason(text, language=language) == reason

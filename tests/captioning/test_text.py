import pytest

from recap.captioning.text import clean_caption


@pytest.mark.parametrize(
    ("text", "prompt", "caption"),
    [
        ("  a red\n bus\t", "", "a red bus"),
        ("a photo of  a bus", "a photo of", "a bus"),
        ("A Photo of a bus", "a photo of ", "a bus"),
        ("a bus, a photo of", "a photo of", "a bus, a photo of"),
        ("a photo of", "a photo of", ""),
        (" .\n", "", ""),
        ("", "", ""),
        ("ein grüner Bus 7", "", "ein grüner Bus 7"),
        ("公交车", "", "公交车"),
    ],
)
def test_clean_caption(text: str, prompt: str, caption: str) -> None:
    assert clean_caption(text, prompt) == caption

"""Vocabulary, boilerplate and scripts of captions, by hand."""

import pytest

from recap.data.explore.boilerplate import kinds_of
from recap.data.explore.languages import languages, script_of
from recap.data.explore.vocabulary import frequent_bigrams, frequent_words, read_text, vocabulary_growth

CAPTIONS = ["A cat sits", "a cat", "sits a"]


def test_frequent_words_and_pairs() -> None:
    text = read_text(CAPTIONS)
    assert frequent_words(text, 2) == {"a": 3, "cat": 2}
    assert frequent_bigrams(text, 9) == {"a cat": 2, "cat sits": 1, "sits a": 1}  # none reaches over a caption's end


def test_growth() -> None:
    assert vocabulary_growth(read_text(CAPTIONS)) == [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 3), (7, 3)]


def test_no_words() -> None:
    text = read_text(["", "42"])
    assert (frequent_words(text, 5), frequent_bigrams(text, 5), vocabulary_growth(text)) == ({}, {}, [])


@pytest.mark.parametrize(
    ("caption", "kinds"),
    [
        ("IMG_0042.JPG", ["file_name"]),
        ("DSC01234", ["file_name"]),
        ("a dog, dsc 4021 - stock photo", ["file_name", "stock_photo"]),
        ("Royalty-Free vector of a tree", ["stock_photo"]),
        ("see https://a.example", ["url"]),
        ("a <b>red</b> bus", ["html"]),
        ("tom &amp; jerry", ["html"]),
        ("2 < 3 and 5 > 4", []),
        ("image 12", ["placeholder"]),
        ("untitled", ["placeholder"]),
        ("an image of a dog", []),
        ("a photo.jpg that hangs on a wall", []),
        ("AT&T building; a street", []),
    ],
)
def test_boilerplate(caption: str, kinds: list[str]) -> None:
    assert kinds_of(caption) == kinds


@pytest.mark.parametrize(
    ("caption", "script"),
    [("a cat", "LATIN"), ("une forêt", "LATIN"), ("кошка", "CYRILLIC"), ("一只猫 cat!", "CJK"), ("42 !", "no letters")],
)
def test_scripts(caption: str, script: str) -> None:
    assert script_of(caption) == script


def test_without_the_model_scripts_are_counted() -> None:
    assert languages(["a cat", "кошка"]) == ("script", ["LATIN", "CYRILLIC"])

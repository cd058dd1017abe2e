import pytest

from recap.captioning.candidates import Candidate, candidate_of, clean_caption, without_duplicates


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


def test_a_candidate_is_judged_by_what_was_written() -> None:
    assert candidate_of("a photo of", "a photo of", truncated=False) == Candidate(
        "", "a photo of", False, "prompt_echo"
    )
    assert candidate_of(" a bus", "a photo of", truncated=True) == Candidate("a bus", "a photo of", True, "cut_off")
    assert candidate_of(" a bus", "", truncated=False) == Candidate("a bus")


def test_of_equal_captions_the_first_stays_in_its_place() -> None:
    first, other = Candidate("a bus", "one"), Candidate("a car", "one")
    assert without_duplicates([first, other, Candidate("a bus", "two"), other]) == [first, other]

"""What benchmarks ask of the street world."""

import pytest

from recap.world.asking import ask, ask_choices


def test_the_time_of_day_gives_nothing_away() -> None:
    """By day seven scenes in ten, and yet half of the answers are "night", whoever asks."""
    asked = ask("gqa", {"time": 1, "count": 1, "side": 1}, "perceived", count=1200, seed=3)
    choices = [item.choice for item in ask_choices("mmbench", count=3000, seed=3)]
    chosen = [choice.options[choice.index] for choice in choices if choice.category == "image_scene"]
    for answers in ([item.answer for item in asked if item.family == "time"], chosen):
        assert len(answers) > 150
        assert sum(answer == "night" for answer in answers) / len(answers) == pytest.approx(0.5, abs=0.08)

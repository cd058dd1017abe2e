"""What fits on a card."""

from recap.rehearsal.budget import CARDS_GB, GIB, smallest_card, usable


def test_context_and_fragmentation_are_left_free() -> None:
    assert usable(22) == 20 * GIB
    assert usable(24) / GIB < 22


def test_the_smallest_card_that_holds_it() -> None:
    assert [smallest_card(int(usable(card))) for card in CARDS_GB] == list(CARDS_GB)
    assert smallest_card(int(usable(8)) + 1) == 16
    assert smallest_card(80 * GIB) is None

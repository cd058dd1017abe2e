"""What fits on a card.

1 GiB is 2**30 bytes. A card that is sold as one of N GB has about N GiB. The CUDA context with the libraries'
workspaces takes one of them, and the allocator needs 5 % more than the tensors hold, as freed blocks do not always
fit new tensors.
"""

GIB = 2**30
CARDS_GB = (8, 16, 24, 40, 80)

_CONTEXT_BYTES = 1 * GIB
_FRAGMENTATION = 0.05


def usable(memory_gb: float) -> float:
    """Bytes that tensors may hold on a card of so many GB."""
    return (memory_gb * GIB - _CONTEXT_BYTES) / (1 + _FRAGMENTATION)


def smallest_card(size: int) -> int | None:
    """GB of the smallest of `CARDS_GB` on which so many bytes of tensors fit; None if they fit on none."""
    return next((card for card in CARDS_GB if size <= usable(card)), None)

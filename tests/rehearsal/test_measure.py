"""What a card can do at most, by the name that its driver gives it."""

import pytest
import torch

from recap.rehearsal.measure import peak_operations


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", None),
    ],
)
def test_a_card_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch, name: str, expected: float | None) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    assert peak_operations(torch.device("cuda")) == expected

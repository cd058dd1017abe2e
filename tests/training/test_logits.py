"""Two models' logits are compared a few positions at a time, with the result of comparing them whole."""

import pytest
import torch

from recap.merging import logits
from recap.merging.logits import Comparison, Output
from recap.runtime.errors import UserError


def says(*rows: list[float]) -> Output:
    """An output whose logits are these rows."""
    return Output(torch.tensor(rows), torch.eye(len(rows[0])))


def test_by_hand() -> None:
    comparison = Comparison()
    comparison.add(says([1.0, 2.0], [5.0, 4.0]), says([1.0, 2.5], [3.0, 4.0]))
    comparison.add(says([0.0, 1.0]), says([0.0, 1.0]))
    found = comparison.difference()
    assert (found.maximum, found.mean) == (2.0, pytest.approx(2.5 / 6))
    assert found.agreement == pytest.approx(200 / 3)  # the second position prefers another token


@pytest.mark.parametrize("at_once", [1, 7, 21, 10_000])
def test_slices_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(logits, "AT_ONCE", at_once)
    torch.manual_seed(0)
    head, states = torch.randn(7, 5), torch.randn(11, 5)
    other = states + 0.1 * torch.randn(11, 5)
    comparison = Comparison()
    comparison.add(Output(states, head), Output(other, head))
    found, gap = comparison.difference(), (states @ head.T - other @ head.T).abs()
    assert found.maximum == pytest.approx(gap.max().item(), rel=1e-5)
    assert found.mean == pytest.approx(gap.mean().item(), rel=1e-5)
    assert found.agreement == pytest.approx(
        100 * (states @ head.T).argmax(-1).eq((other @ head.T).argmax(-1)).float().mean().item()
    )


def test_a_model_in_another_dtype_is_compared_in_float32() -> None:
    rounded = Output(torch.tensor([[1.0 + 2**-6]]).bfloat16(), torch.ones(3, 1).bfloat16())
    comparison = Comparison()
    comparison.add(Output(torch.tensor([[1.0 + 2**-6 + 2**-12]]), torch.ones(3, 1)), rounded)
    assert comparison.difference().maximum == 2**-12


@pytest.mark.parametrize("other", [says([0.0, 0.0], [0.0, 0.0]), says([0.0, 0.0, 0.0]), says([float("nan"), 0.0])])
def test_logits_that_cannot_be_compared_are_refused(other: Output) -> None:
    with pytest.raises(UserError):
        Comparison().add(says([0.0, 0.0]), other)

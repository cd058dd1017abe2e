"""The counter of memory, on tensors whose bytes are known."""

import torch
from torch import nn

from recap.rehearsal.memory import ACTIVATIONS, GRADIENTS, LOGITS, WEIGHTS, MemoryCounter, claim_model
from recap.rehearsal.places import FusedDropout

FLOAT = 4


def test_a_storage_counts_once_while_anything_holds_it() -> None:
    with MemoryCounter(vocabulary_size=7) as counter:
        base = torch.zeros(10, 3)
        view = base.t()[:2]
        assert counter.now.total() == 30 * FLOAT
        del base
        assert counter.now.total() == 30 * FLOAT
        view += 1
        assert counter.now.total() == 30 * FLOAT
        del view
        assert counter.now.total() == 0
    assert counter.peak == {ACTIVATIONS: 30 * FLOAT} and counter.peak_bytes == 30 * FLOAT


def test_the_peak_is_of_one_moment() -> None:
    with MemoryCounter(vocabulary_size=7) as counter:
        first = torch.zeros(100)
        del first
        second, logits = torch.zeros(20), torch.zeros(3, 7)
        assert counter.peak_bytes == 100 * FLOAT
        counter.reset_peak()
        del logits
    assert counter.peak == {ACTIVATIONS: 20 * FLOAT, LOGITS: 21 * FLOAT}
    assert len(second) == 20


def test_what_autograd_keeps_is_alive() -> None:
    weight = torch.ones(4, requires_grad=True)
    with MemoryCounter(vocabulary_size=7) as counter:
        product = (weight * 2).exp()
        # exp keeps its result, and that alone.
        assert counter.now[ACTIVATIONS] == 4 * FLOAT
        total = product.sum()
        del product
        assert counter.now[ACTIVATIONS] == 4 * FLOAT + FLOAT
        total.backward()
        del total
        weight.grad = None
        assert counter.now[ACTIVATIONS] == 0


def test_dropout_keeps_one_byte_an_element() -> None:
    weight = torch.ones(8, requires_grad=True)
    with MemoryCounter(vocabulary_size=7) as counter:
        kept = FusedDropout(0.5)(weight)
        assert counter.now[ACTIVATIONS] == 8 * FLOAT + 8
    assert set(kept.tolist()) <= {0.0, 2.0}


def test_parts_of_a_training_step() -> None:
    model = nn.Linear(5, 3, bias=False)
    with MemoryCounter(vocabulary_size=7) as counter:
        claim_model(counter, model)
        model(torch.ones(2, 5)).sum().backward()
        assert counter.now == {WEIGHTS: 15 * FLOAT, GRADIENTS: 15 * FLOAT, ACTIVATIONS: 0}
        model.zero_grad(set_to_none=True)
        assert counter.now[GRADIENTS] == 0

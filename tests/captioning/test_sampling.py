import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from recap.captioning.sampling import KeyedSampling, keep_nucleus, uniform_draws


def chosen(probabilities: list[float], draw: float, **options: float) -> int:
    scores = torch.tensor([probabilities]).log()
    result = KeyedSampling(torch.tensor([[draw]]), **options)(torch.empty(1, 0), scores)
    assert (result == 0).sum() == 1 and torch.isinf(result).sum() == len(probabilities) - 1
    return int(result.argmax())


@pytest.mark.parametrize(
    ("draw", "token"), [(0.0, 0), (0.19, 0), (0.21, 1), (0.49, 1), (0.51, 3), (0.99, 3)]
)  # cumulative: 0.2, 0.5, 0.5, 1.0
def test_a_draw_falls_into_the_token_whose_share_it_is(draw: float, token: int) -> None:
    assert chosen([0.2, 0.3, 0.0, 0.5], draw) == token


def test_a_draw_of_zero_never_picks_an_impossible_first_token() -> None:
    assert chosen([0.0, 1.0], 0.0) == 1


def test_a_low_temperature_sharpens() -> None:
    assert chosen([0.4, 0.6], 0.35) == 0
    assert chosen([0.4, 0.6], 0.35, temperature=0.1) == 1  # (0.4 / 0.6) ** 10 = 0.017


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    assert keep_nucleus(probabilities, 0.5).tolist() == [[0.0, 0.5, 0.0, 0.0]]
    assert keep_nucleus(probabilities, 0.6).nonzero()[:, 1].tolist() == [1, 3]
    assert keep_nucleus(probabilities, 1e-9).nonzero()[:, 1].tolist() == [1]
    assert chosen([0.1, 0.5, 0.15, 0.25], 0.99, top_p=0.6) == 3  # 0.99 * 0.75 = 0.74, beyond token 1's 0.5


def test_tokens_come_as_often_as_they_are_probable() -> None:
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4])
    draws = uniform_draws(range(20_000), 1)
    tokens = KeyedSampling(draws)(torch.empty(20_000, 0), probabilities.log().expand(20_000, 4)).argmax(dim=-1)
    # Standard error of a share of 0.4 among 20,000: 0.0035.
    assert torch.bincount(tokens).tolist() == pytest.approx((probabilities * 20_000).tolist(), abs=4 * 70)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=6, unique=True))
@example([0, 2**32])
def test_a_rows_draws_depend_on_its_seed_alone(seeds: list[int]) -> None:
    together = uniform_draws(seeds, 16)
    alone = torch.cat([uniform_draws([seed], 16) for seed in reversed(seeds)]).flip(0)
    assert torch.equal(together, alone)
    assert not torch.equal(together[0], together[1])

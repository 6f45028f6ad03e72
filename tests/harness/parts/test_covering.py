"""The best covering interval against a table of all pairs."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vmrbench.parts.covering import covering_maximum


def by_table(values: Tensor, first: Tensor, last: Tensor, places: int) -> Tensor:
    place = torch.arange(places)[:, None]
    covers = (first[:, None] <= place) & (place <= last[:, None])
    return values[:, None].masked_fill(~covers, -torch.inf).amax(-1)


@given(places=st.integers(1, 40), intervals=st.integers(1, 30), seed=st.integers(0, 2**16))
def test_values_and_gradients_are_those_of_all_pairs(places: int, intervals: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, intervals, generator=generator)
    values[torch.rand(3, intervals, generator=generator) < 0.2] = -torch.inf
    values.requires_grad_()
    ends = torch.randint(places, (2, 3, intervals), generator=generator)
    first, last = ends.amin(0), ends.amax(0)

    found, expected = (of(values, first, last, places) for of in (covering_maximum, by_table))

    assert torch.equal(found, expected)
    weights = torch.randn(3, places, generator=generator)
    gradients = [
        torch.autograd.grad(torch.where(best.isfinite(), best * weights, 0).sum(), values)[0]
        for best in (found, expected)
    ]
    torch.testing.assert_close(*(gradient.nan_to_num() for gradient in gradients))


def test_a_place_that_nothing_covers_has_no_value() -> None:
    best = covering_maximum(torch.tensor([[1.0, 2.0]]), torch.tensor([[0, 3]]), torch.tensor([[1, 3]]), 5)

    assert best.tolist() == [[1.0, 1.0, -torch.inf, 2.0, -torch.inf]]

"""Attention to a window equals attention to all rows with everything outside the window masked."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vmrbench.cost.macs import count_macs
from vmrbench.parts.window_attention import window_attend


@pytest.mark.parametrize("reach", [1, 2, 9])
@pytest.mark.parametrize("length", [1, 7, 24])
def test_window_attention_equals_masked_full_attention(length: int, reach: int) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, length, 8)
    mask = torch.arange(length) < torch.tensor([[length], [max(1, length - 3)]])

    found = window_attend(query, key, value, 2, mask, reach, 0.0)

    real = mask[..., None]
    assert torch.allclose(found * real, _slow(query, key, value, mask, reach) * real, atol=1e-5)


def test_padded_rows_stay_finite() -> None:
    rows = torch.randn(1, 12, 4)
    mask = torch.arange(12)[None] < 2

    assert window_attend(rows, rows, rows, 1, mask, 2, 0.0).isfinite().all()


def test_the_cost_grows_with_the_number_of_rows() -> None:
    def macs(length: int) -> int:
        rows, mask = torch.randn(1, length, 8), torch.ones(1, length, dtype=torch.bool)
        return count_macs(lambda: window_attend(rows, rows, rows, 2, mask, 3, 0.0)).value

    # Blocks of three rows meet nine, for scores and for values.
    assert macs(30) == 30 * 9 * 8 * 2
    assert macs(300) == 10 * macs(30)
    # Few rows meet one another: three blocks of three would meet nine each.
    assert macs(7) == 7 * 7 * 8 * 2


def _slow(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Row by row and head by head; two heads of four channels."""
    out = torch.zeros_like(query)
    for sample in range(len(query)):
        for row in range(int(mask[sample].sum())):
            seen = [r for r in range(query.shape[1]) if abs(r - row) <= reach and mask[sample, r]]
            for head in (slice(0, 4), slice(4, 8)):
                weight = (key[sample, seen, head] @ query[sample, row, head] / 2).softmax(0)
                out[sample, row, head] = weight @ value[sample, seen, head]
    return out

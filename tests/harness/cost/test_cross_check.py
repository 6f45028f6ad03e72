"""fvcore and torch count the same, once both see what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from vmrbench.cost.cross_check import cross_check
from vmrbench.testing.factories import make_batch
from vmrbench.types import Batch


@dataclass(frozen=True)
class Outputs:
    rows: list[Tensor]
    text: dict[str, Tensor]


class OnBatch(nn.Module):
    """Runs a module on the clips and a linear layer on the query, and returns dataclass, list and dict."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.text = inner, nn.Linear(12, 5)

    def forward(self, batch: Batch) -> Outputs:
        rows = self.inner(batch.clips)
        rows = rows[0] if isinstance(rows, tuple) else rows
        return Outputs(rows=[rows * batch.clip_mask[..., None]], text={"query": self.text(batch.query)})


class BaddBmm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(torch.zeros(1), x, x.transpose(1, 2))


class Fused(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (2, 8)).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)


TEXT = 2 * 5 * 12 * 5
CASES: list[tuple[Callable[[], nn.Module], int]] = [
    (lambda: nn.Linear(16, 8), 2 * 10 * 16 * 8),
    (lambda: nn.LayerNorm(16), 0),
    (BaddBmm, 2 * 10 * 16 * 10),
    (Fused, 2 * 2 * 10 * 10 * 16),
    (lambda: nn.LSTM(16, 8, 2, batch_first=True, bidirectional=True), 2 * 10 * 2 * 32 * ((16 + 8) + (16 + 8))),
    (lambda: nn.GRU(16, 8, batch_first=True), 2 * 10 * 24 * (16 + 8)),
    (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        2 * 10 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 2 * 10 * 10 * 16,
    ),
]
NAMES = ["linear", "norm", "baddbmm", "fused", "lstm", "gru", "encoder layer"]


@pytest.mark.parametrize(("make", "expected"), CASES, ids=NAMES)
def test_fvcore_counts_what_was_worked_out_by_hand(make: Callable[[], nn.Module], expected: int) -> None:
    found = cross_check(OnBatch(make()).eval(), make_batch([10, 7]))

    assert found.macs == expected + TEXT


@pytest.mark.parametrize("make", [make for make, _ in CASES], ids=NAMES)
def test_both_counters_agree(make: Callable[[], nn.Module]) -> None:
    assert cross_check(OnBatch(make()).eval(), make_batch([10, 7])).ratio == 1.0


def test_a_batch_without_index_is_traced() -> None:
    assert cross_check(OnBatch(nn.Linear(16, 8)).eval(), make_batch([10, 7], index_width=0)).ratio == 1.0


def test_there_is_no_ratio_where_nothing_is_counted() -> None:
    class Sum(nn.Module):
        def forward(self, batch: Batch) -> Tensor:
            return batch.clips.sum(-1)

    assert cross_check(Sum().eval(), make_batch([4])).ratio is None


def test_parameters_require_gradients_again_after_the_check() -> None:
    module = OnBatch(nn.Linear(16, 8)).eval()

    cross_check(module, make_batch([4]))

    assert all(p.requires_grad for p in module.parameters())

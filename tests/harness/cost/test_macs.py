"""Multiply-adds against counts worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vmrbench.cost.macs import count_macs, countable, macs_by_length

# Self-attention, width 64, 2 x 10 rows: four projections and two products.
ATTENTION = 2 * 10 * 4 * 64 * 64 + 2 * 2 * 10 * 10 * 64
FEED_FORWARD = 2 * 10 * 2 * 64 * 128


class Attend(nn.Module):
    def __init__(self, *, weights: bool) -> None:
        super().__init__()
        self.attention, self.weights = nn.MultiheadAttention(64, 8, batch_first=True), weights

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=self.weights)[0]


class Fused(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (8, 8)).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(heads, heads, heads)


class ViewedParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 32, 64))
        self.inner = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.inner(self.weight[0]).T


CASES: list[tuple[Callable[[], nn.Module], int]] = [
    (lambda: nn.Linear(64, 3), 2 * 10 * 64 * 3),
    (lambda: nn.Conv1d(10, 7, 3, padding=1), 2 * 64 * 7 * 10 * 3),
    (lambda: Attend(weights=True), ATTENTION),
    (lambda: Attend(weights=False), ATTENTION),
    (Fused, 2 * 2 * 10 * 10 * 64),
    (lambda: nn.TransformerEncoderLayer(64, 8, 128, batch_first=True), ATTENTION + FEED_FORWARD),
    (lambda: nn.LSTM(64, 32, batch_first=True, bidirectional=True), 2 * 10 * 2 * 4 * 32 * (64 + 32)),
    (lambda: nn.GRU(64, 32, batch_first=True), 2 * 10 * 3 * 32 * (64 + 32)),
    (ViewedParameter, 2 * 10 * 64 * 32),
]
NAMES = ["linear", "conv", "attention", "no weights", "fused", "encoder layer", "lstm", "gru", "view of a parameter"]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("make", "expected"), CASES, ids=NAMES)
def test_macs_are_those_worked_out_by_hand(make: Callable[[], nn.Module], expected: int, device: str) -> None:
    module = make().eval().to(device)

    macs = count_macs(module, torch.zeros(2, 10, 64, device=device))

    assert macs.value == expected


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_packed_sequence_is_counted_at_its_real_lengths(device: str) -> None:
    lstm = nn.LSTM(64, 32, batch_first=True).to(device)
    clips = torch.zeros(2, 10, 64, device=device)

    macs = count_macs(lambda: lstm(nn.utils.rnn.pack_padded_sequence(clips, torch.tensor([10, 4]), batch_first=True)))

    assert macs.value == (10 + 4) * 4 * 32 * (64 + 32)


def test_the_count_is_half_of_what_torchs_own_counter_says() -> None:
    layer = nn.TransformerEncoderLayer(64, 8, 128, batch_first=True).eval().requires_grad_(False)
    clips = torch.zeros(2, 10, 64)
    with countable(), FlopCounterMode(display=False) as official:
        layer(clips)

    assert count_macs(layer, clips).value * 2 == official.get_total_flops()


def test_inference_mode_inside_the_call_is_counted_too() -> None:
    layer = nn.TransformerEncoderLayer(64, 8, 128, batch_first=True).eval()

    macs = count_macs(torch.inference_mode()(layer), torch.zeros(2, 10, 64))

    assert macs.value == ATTENTION + FEED_FORWARD


def test_parameters_still_require_gradients_after_counting() -> None:
    linear = nn.Linear(4, 4)

    count_macs(linear, torch.zeros(1, 4))

    assert all(p.requires_grad for p in linear.parameters())


def test_an_operator_without_a_formula_is_listed() -> None:
    macs = count_macs(torch.linalg.inv, torch.eye(4))

    assert macs.value == 0
    assert macs.uncounted["linalg_inv_ex"] == 1


def test_pointwise_operators_views_and_copies_are_not_listed() -> None:
    def shuffle(x: Tensor) -> Tensor:
        return torch.cat([x.relu() + 1, x.T.clone()]).masked_fill(torch.ones(8, 4, dtype=torch.bool), 0.0)

    assert count_macs(shuffle, torch.zeros(4, 4)).uncounted == {}


def test_the_fast_path_and_onednn_are_as_before_after_counting() -> None:
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled

    with pytest.raises(RuntimeError, match="inside"), countable():
        raise RuntimeError("inside")

    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled) == before


def test_each_distinct_length_is_counted_once() -> None:
    linear, asked = nn.Linear(3, 2), []

    def run(length: int) -> Tensor:
        asked.append(length)
        return linear(torch.zeros(length, 3))

    found = macs_by_length(run, [5, 2, 5, 5])

    assert asked == [2, 5]
    assert {length: macs.value for length, macs in found.items()} == {2: 12, 5: 30}

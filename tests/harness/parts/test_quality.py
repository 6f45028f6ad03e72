from __future__ import annotations

import pytest
import torch

from vmrbench.parts.quality import QualityHead, quality_loss, quality_slots
from vmrbench.parts.slots import slot_candidates, slot_moments


def test_quality_ranks_the_moments() -> None:
    slots = quality_slots(torch.tensor([[0.0, 2.0]]), torch.full((1, 2, 2), 0.5))

    torch.testing.assert_close(slot_moments(slots, torch.tensor([4])).scores, torch.tensor([[0.5, 0.880797]]))
    assert slot_candidates(slots).tolist() == [[0.0, 2.0]]


def test_good_fair_and_poor_moments_count_alike() -> None:
    overlap = torch.tensor([[0.9, 0.8, 0.5], [0.1, 0.0, 0.3]])
    quality = torch.tensor([[0.8, 0.6, 0.4], [0.2, 0.3, 0.5]])

    # Good: 0.1 and 0.2; fair: 0.1; poor: 0.1, 0.3 and 0.2.
    assert quality_loss(quality, overlap).item() == pytest.approx((0.15 + 0.1 + 0.2) / 3)


def test_a_kind_that_is_missing_counts_nothing() -> None:
    assert quality_loss(torch.tensor([[0.2]]), torch.tensor([[0.0]])).item() == pytest.approx(0.2 / 3)


def test_boundaries_are_read_relative_to_the_point() -> None:
    torch.manual_seed(0)
    head, hidden = QualityHead(4), torch.randn(2, 3, 4)
    shifted = hidden + torch.tensor([[1.0], [1.0], [1.0]])
    (point := head.mlp.layers[0]).weight.data[:, :4] = 0

    torch.testing.assert_close(head(hidden), head(shifted))
    assert point.weight.shape == (4, 12)

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.overlap_loss import best_overlap, rescaled_overlap_loss

CELLS = torch.tensor([[[0.0, 4.0], [6.0, 8.0]], [[0.0, 4.0], [6.0, 8.0]]])


def test_a_candidate_is_compared_with_the_moment_it_overlaps_most() -> None:
    moments = [torch.tensor([[0.0, 2.0], [5.0, 8.0]]), torch.tensor([[4.0, 6.0]])]

    overlap = best_overlap(CELLS, moments)

    torch.testing.assert_close(overlap, torch.tensor([[0.5, 2 / 3], [0.0, 0.0]]))


def test_a_sample_without_moments_overlaps_nothing() -> None:
    overlap = best_overlap(CELLS, [torch.zeros(0, 2), torch.zeros(0, 2)])

    assert overlap.abs().sum() == 0


def test_overlap_is_stretched_between_its_bounds() -> None:
    logits, overlap = torch.zeros(1, 3), torch.tensor([[0.2, 0.75, 0.9]])

    loss = rescaled_overlap_loss(logits + torch.tensor([2.0, 0.0, -1.0]), overlap, 0.5, 1.0)

    # Targets 0, 0.5 and 0.8 against probabilities s(2), 0.5, s(-1): -log(1 - s(2)), log 2, and the mixed third.
    third = -0.8 * math.log(1 / (1 + math.e)) - 0.2 * math.log(math.e / (1 + math.e))
    expected = (math.log(1 + math.e**2) + math.log(2) + third) / 3
    assert loss.item() == pytest.approx(expected, abs=1e-6)

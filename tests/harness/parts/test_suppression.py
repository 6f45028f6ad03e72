"""Thinning of overlapping moments, a whole batch at once."""

from __future__ import annotations

import math

import pytest
import torch

from vmrbench.parts.suppression import Suppression, suppress

# The second overlaps the first by half, the third lies apart.
SPANS = torch.tensor([[[0.0, 4.0], [0.0, 2.0], [10.0, 12.0]]])
SCORES = torch.tensor([[0.9, 0.8, 0.5]])
NO_VOTES = 1.1


def test_soft_suppression_lowers_what_overlaps() -> None:
    spans, scores = suppress(SPANS, SCORES, Suppression(moments=3, sigma=0.5, voting=NO_VOTES))

    lowered = 0.8 * math.exp(-(0.5**2) / 0.5)
    assert spans[0].tolist() == [[0.0, 4.0], [10.0, 12.0], [0.0, 2.0]]
    assert scores[0].tolist() == pytest.approx([0.9, 0.5, lowered])


def test_hard_suppression_removes_what_overlaps_and_leaves_places_empty() -> None:
    spans, scores = suppress(SPANS, SCORES, Suppression(mode="hard", moments=3, max_iou=0.3, voting=NO_VOTES))

    assert spans[0].tolist() == [[0.0, 4.0], [10.0, 12.0], [0.0, 0.0]]
    assert scores[0].tolist() == pytest.approx([0.9, 0.5, -math.inf])


def test_without_suppression_the_best_are_taken_as_they_are() -> None:
    spans, scores = suppress(SPANS, SCORES, Suppression(mode="none", moments=2, voting=0.0))

    assert torch.equal(spans, SPANS[:, :2])
    assert torch.equal(scores, SCORES[:, :2])


def test_votes_are_weighted_by_score() -> None:
    spans, _ = suppress(SPANS, SCORES, Suppression(mode="hard", moments=1, voting=0.5))

    assert spans[0, 0].tolist() == pytest.approx([0.0, (0.9 * 4 + 0.8 * 2) / 1.7])


def test_a_moment_that_is_none_has_no_vote_and_is_not_taken() -> None:
    scores = torch.tensor([[-torch.inf, 0.8, 0.5]])

    spans, ranks = suppress(SPANS, scores, Suppression(moments=3, voting=0.5))

    assert spans[0].tolist() == [[0.0, 2.0], [10.0, 12.0], [0.0, 0.0]]
    assert ranks[0, 2] == -torch.inf


def test_samples_are_thinned_on_their_own() -> None:
    torch.manual_seed(0)
    spans = torch.rand(3, 20, 2).cumsum(-1)
    scores = torch.rand(3, 20)

    together = suppress(spans, scores, Suppression())[0]

    for row in range(3):
        alone = suppress(spans[row : row + 1], scores[row : row + 1], Suppression())[0]
        assert torch.allclose(together[row], alone[0])

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vmrbench.parts.saliency import SaliencyPairs, saliency_hinge, saliency_pairs

SHARE = torch.tensor([[0.0, 1.0, 1.0, 1.0, 0.3, 0.0, 0.0]])
SCORES = torch.tensor([[0.1, 0.9, 0.2, 0.5, 0.0, 0.3, 0.6]])
MASK = torch.ones(1, 7, dtype=torch.bool)


def test_first_pair_is_the_lowest_inside_and_the_highest_outside() -> None:
    pairs = saliency_pairs(SCORES, SHARE, MASK)

    assert (pairs.positive[0, 0].item(), pairs.negative[0, 0].item()) == (2, 6)


def test_second_pair_is_the_middle_inside_and_the_middle_outside() -> None:
    pairs = saliency_pairs(SCORES, SHARE, MASK)

    # Inside are 1, 2, 3; outside are 0, 5, 6; clip 4 touches the moment and is neither.
    assert (pairs.positive[0, 1].item(), pairs.negative[0, 1].item()) == (2, 5)


def test_a_moment_shorter_than_a_clip_still_has_a_pair() -> None:
    pairs = saliency_pairs(SCORES, torch.tensor([[0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0]]), MASK)

    assert pairs.valid.all()
    assert pairs.positive[0].tolist() == [2, 2]


def test_a_moment_that_fills_the_video_has_no_pair() -> None:
    pairs = saliency_pairs(SCORES, torch.ones(1, 7), MASK)

    assert not pairs.valid.any()


def test_padding_does_not_change_pairs() -> None:
    padded = saliency_pairs(F.pad(SCORES, (0, 3), value=9.0), F.pad(SHARE, (0, 3)), F.pad(MASK, (0, 3)))

    pairs = saliency_pairs(SCORES, SHARE, MASK)
    assert torch.equal(padded.positive, pairs.positive)
    assert torch.equal(padded.negative, pairs.negative)


def test_hinge_counts_twice_the_mean_over_pairs() -> None:
    pairs = SaliencyPairs(
        positive=torch.tensor([[1, 2]]), negative=torch.tensor([[0, 6]]), valid=torch.tensor([[True, True]])
    )

    # 0.2 + 0.1 - 0.9 < 0 counts 0; 0.2 + 0.6 - 0.2 = 0.6; 2 x mean = 0.6.
    assert saliency_hinge(SCORES, pairs, 0.2).item() == pytest.approx(0.6)

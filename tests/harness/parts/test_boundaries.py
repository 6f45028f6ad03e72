from __future__ import annotations

import torch

from vmrbench.parts.boundaries import HIDDEN, best_moments, boundary_loss, moment_logits, moment_mask


def test_the_best_moment_is_the_most_probable_pair_that_is_not_reversed() -> None:
    start, end = torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([[4.0, 3.0, 0.0]])

    moments = best_moments(start, end, torch.ones(1, 3, dtype=torch.bool), 3)

    # Sums: 0-0 4, 0-1 3, 0-2 0, 1-1 4, 1-2 1, 2-2 5; the reversed 2-0 would have 9.
    assert moments.spans[0, 0].tolist() == [2.0, 3.0]
    assert sorted(moments.spans[0, 1:].tolist()) == [[0.0, 1.0], [1.0, 2.0]]
    expected = start[0].softmax(0)[2] * end[0].softmax(0)[2]
    torch.testing.assert_close(moments.scores[0, 0], expected)


def test_slots_beyond_the_moments_of_a_video_hold_none() -> None:
    mask = torch.tensor([[True, True, False]])
    logits = torch.tensor([[0.0, 1.0, HIDDEN]])

    moments = best_moments(logits, logits, mask, 12)

    # Two clips have three moments.
    assert moments.scores[0].isfinite().tolist() == [True] * 3 + [False] * 9
    assert moments.spans[0, 3:].abs().sum() == 0


def test_moments_are_numbered_by_start_then_end() -> None:
    logits = moment_logits(torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, 20.0]]))

    assert logits.tolist() == [[11.0, 21.0, 12.0, 22.0]]
    assert moment_mask(torch.ones(1, 2, dtype=torch.bool)).tolist() == [[True, True, False, True]]


def test_samples_without_a_moment_do_not_count_in_the_boundary_loss() -> None:
    logits = torch.tensor([[0.0, 0.0], [9.0, -9.0]])

    loss = boundary_loss(logits, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))

    torch.testing.assert_close(loss, torch.tensor(2.0).log())
    assert boundary_loss(logits, torch.zeros(2, 2)) == 0

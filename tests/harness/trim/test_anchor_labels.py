from __future__ import annotations

from dataclasses import replace

import torch

from vmrbench.testing.factories import make_batch
from vmrbench.trim.anchor_labels import anchor_labels, anchors


def test_anchors_stand_at_their_place_in_the_clip() -> None:
    batch = make_batch([4, 2])

    assert anchors(batch, 0.5)[0].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert anchors(batch, 1.0)[1, :2].tolist() == [0.5, 1.0]


def test_clips_belong_to_the_moment_that_holds_their_anchor() -> None:
    # Ten clips of two seconds: middles at 1, 3, 5 ... 19 seconds.
    batch = replace(make_batch([10]), moments=(torch.tensor([[2.5, 7.0], [14.0, 20.0]]),))

    labels = anchor_labels(batch, 0.5)

    # An anchor at the very edge, 7 s, lies inside.
    assert labels.inside[0].nonzero().flatten().tolist() == [1, 2, 3, 7, 8, 9]
    torch.testing.assert_close(labels.spans[0, 2], torch.tensor([0.125, 0.35]))
    torch.testing.assert_close(labels.spans[0, 9], torch.tensor([0.7, 1.0]))
    assert labels.spans[0, 0].tolist() == [0.0, 0.0]


def test_a_moment_without_an_anchor_gets_the_nearest_clip() -> None:
    batch = replace(make_batch([10, 6]), moments=(torch.tensor([[3.2, 3.9]]), torch.tensor([[11.6, 12.0]])))

    labels = anchor_labels(batch, 0.5)

    assert labels.inside.nonzero().tolist() == [[0, 1], [1, 5]]


def test_of_two_moments_over_one_anchor_the_later_in_the_list_counts() -> None:
    batch = replace(make_batch([10]), moments=(torch.tensor([[0.0, 4.0], [2.0, 8.0]]),))

    labels = anchor_labels(batch, 0.5)

    torch.testing.assert_close(labels.spans[0, 1], torch.tensor([0.1, 0.4]))

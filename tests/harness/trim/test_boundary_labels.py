from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vmrbench.spans import iou_matrix
from vmrbench.testing.factories import make_batch
from vmrbench.trim.boundary_labels import boundary_labels, whole_clips


def _every_run(count: int) -> list[tuple[int, int]]:
    return [(first, last) for first in range(count) for last in range(first, count)]


def _slowly(span: Tensor, count: int) -> float:
    """The best overlap of any run of whole clips."""
    runs = torch.tensor([[first, last + 1.0] for first, last in _every_run(count)])
    return float(iou_matrix(runs, span[None]).max())


def test_the_run_of_whole_clips_is_the_best_of_all() -> None:
    spans = (torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 6).sort(1).values

    runs = whole_clips(spans, 6)

    for span, (first, last) in zip(spans, runs, strict=True):
        found = iou_matrix(torch.tensor([[first, last + 1.0]]), span[None])
        assert float(found) == pytest.approx(_slowly(span, 6), abs=1e-6)


def test_a_moment_of_no_length_is_one_clip() -> None:
    assert whole_clips(torch.tensor([[2.0, 2.0], [6.0, 6.0], [2.5, 2.5]]), 6) == [(2, 2), (5, 5), (2, 2)]


def test_the_highlight_reaches_over_the_moment_and_not_over_the_video() -> None:
    # Ten of twelve clips of two seconds: a tenth is one clip on either side.
    batch = replace(make_batch([12]), moments=(torch.tensor([[4.0, 24.0]]),))

    labels = boundary_labels(batch, 0.1)

    assert labels.inside[0].tolist() == [0.0] + [1.0] * 11
    assert labels.start[0].nonzero().flatten().tolist() == [2]
    assert labels.end[0].nonzero().flatten().tolist() == [11]


def test_several_moments_share_the_weight() -> None:
    batch = replace(make_batch([10]), moments=(torch.tensor([[0.0, 4.0], [10.0, 20.0]]),))

    labels = boundary_labels(batch, 0.0)

    assert labels.start[0].tolist() == [0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0]
    assert labels.end[0].tolist() == [0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.5]


def test_a_sample_without_a_moment_has_no_target() -> None:
    labels = boundary_labels(replace(make_batch([3]), moments=(torch.zeros(0, 2),)), 0.1)

    assert labels.start.sum() + labels.end.sum() + labels.inside.sum() == 0

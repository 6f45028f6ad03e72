"""Predictions of a model on a batch, how far two of them are apart, and what the company of a sample does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from vmrbench.protocols import Backbone
from vmrbench.testing.batch_edits import pad_batch, take_samples
from vmrbench.types import AxisMoments, Batch


@torch.no_grad()
def predict_moments(model: nn.Module, batch: Batch) -> AxisMoments:
    """What the model, a backbone in eval mode, predicts."""
    return cast(Backbone, model).predict(model(batch), batch)


def changed_by_company(
    model: nn.Module, batch: Batch, rows: Sequence[int], *, clips: int = 0, tokens: int = 0
) -> float:
    """How far predictions of some samples move when only these are in the batch, in this order, with more padding.

    Args:
        model: a backbone in eval mode.
        batch: all samples.
        rows: places in `batch` of the samples that stay, in their new order.
        clips, tokens: rows of padding behind the longest video and query left.

    Returns:
        What `moments_apart` says of the two.
    """
    together = predict_moments(model, batch)
    there = AxisMoments(spans=together.spans[list(rows)], scores=together.scores[list(rows)])
    return moments_apart(there, predict_moments(model, pad_batch(take_samples(batch, rows), clips, tokens)))


def moments_apart(a: AxisMoments, b: AxisMoments) -> float:
    """How far the worst moment of a sample is from its nearest counterpart; near ties may change places."""
    if a.scores.shape != b.scores.shape:
        return float("inf")
    left, right = (torch.cat([m.spans, m.scores.clamp(min=-1e4)[..., None]], dim=-1) for m in (a, b))
    apart = (left[:, :, None] - right[:, None]).abs().amax(-1)
    return float(torch.maximum(apart.amin(1).amax(), apart.amin(2).amax()))

"""Between positions on the clip axis and seconds; the rows' own times are the single source of truth."""

from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.types import Batch


def axis_to_seconds(spans: Tensor, batch: Batch) -> Tensor:
    """Where spans on the clip axis lie in the video.

    Inside a row time runs linearly. At a cut between rows a start belongs to the row on its right, an end to the
    row on its left: a moment that stops at a cut must not reach the next kept clip.

    Args:
        spans: [B, Q, 2] start and end, clamped to 0..number of real clips.
        batch: its clip_start, clip_end [B, L] and clip_mask [B, L], real rows first.

    Returns:
        [B, Q, 2] seconds.
    """
    count = batch.clip_mask.sum(1, keepdim=True).to(spans.dtype)
    start = torch.minimum(spans[..., 0].clamp(min=0), count)
    end = torch.minimum(spans[..., 1].clamp(min=0), count)
    start_row = torch.minimum(start.floor(), count - 1).clamp(min=0).long()
    end_row = (end.ceil() - 1).clamp(min=0).long()
    left, right = _inside(batch, start, start_row), _inside(batch, end, end_row)
    # A span of no length at a cut would end before it starts.
    return torch.stack([left, torch.maximum(left, right)], dim=-1)


def _inside(batch: Batch, position: Tensor, row: Tensor) -> Tensor:
    left, right = batch.clip_start.gather(1, row), batch.clip_end.gather(1, row)
    return left + (position - row) * (right - left)


def seconds_to_axis(moments: Tensor, clip_start: Tensor, clip_end: Tensor, clip_mask: Tensor) -> Tensor:
    """Moments in seconds as spans on the clip axis of one sample.

    A moment is intersected with the kept rows; one that meets no row is left out ("no object" for training).
    Reads values on the host: for losses, not for inference.

    Args:
        moments: [M, 2] seconds.
        clip_start, clip_end: [L] seconds, ascending.
        clip_mask: [L] true for real rows.

    Returns:
        [M', 2] start and end on the clip axis, M' <= M.
    """
    start, end = clip_start[clip_mask][None], clip_end[clip_mask][None]
    meets = (moments[:, :1] < end) & (moments[:, 1:] > start)
    moments, meets = moments[meets.any(1)], meets[meets.any(1)]
    if len(moments) == 0:
        return moments
    length = (end - start).clamp(min=torch.finfo(end.dtype).tiny)
    rows = torch.arange(start.shape[1], device=start.device)
    first = meets.int().argmax(1)
    last = torch.where(meets, rows, -1).amax(1)
    into_first = ((moments[:, 0] - start[0, first]) / length[0, first]).clamp(0, 1)
    into_last = ((moments[:, 1] - start[0, last]) / length[0, last]).clamp(0, 1)
    return torch.stack([first + into_first, last + into_last], dim=-1)


def clips_in_moments(batch: Batch) -> Tensor:
    """[B, L] share of every clip that lies inside a true moment, 0..1; reads labels, so never part of inference.

    Raises:
        ValueError: the batch has no labels.
    """
    if batch.moments is None:
        raise ValueError("clips_in_moments needs labels, and this batch has none")
    shares = []
    for row, moments in enumerate(batch.moments):
        start, end = batch.clip_start[row][None], batch.clip_end[row][None]
        overlap = (torch.minimum(end, moments[:, 1:]) - torch.maximum(start, moments[:, :1])).clamp(min=0)
        length = (end - start).clamp(min=torch.finfo(end.dtype).tiny)
        shares.append((overlap / length).sum(0).clamp(max=1) * batch.clip_mask[row])
    return torch.stack(shares)

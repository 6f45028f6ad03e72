"""Time as features: where a clip starts and ends in its video."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vmrbench.types import Batch


def with_endpoints(batch: Batch) -> Tensor:
    """[B, L, D + 2] the clips of `batch` followed by their start and end as fractions of the video's duration."""
    ends = torch.stack([batch.clip_start, batch.clip_end], dim=-1) / batch.duration[:, None, None]
    return torch.cat([batch.clips, ends.to(batch.clips.dtype)], dim=-1)


def clip_rows(batch: Batch, *, scale_rows: bool, tef: bool) -> Tensor:
    """[B, L, D or D + 2] what a DETR projects: the clips of `batch`.

    Args:
        batch: its clips, and their times.
        scale_rows: divide every row by the square root of its width; rows of unit variance are then about as long as
            l2-normalised ones, which is what lets the two time channels be seen. The factor is fixed, because a norm
            taken after clips were masked out would tell which ones were.
        tef: append the temporal endpoints, see `with_endpoints`.
    """
    if scale_rows:
        batch = replace(batch, clips=batch.clips / batch.clips.shape[-1] ** 0.5)
    return with_endpoints(batch) if tef else batch.clips

"""Time as features: where a clip starts and ends in its video."""

from __future__ import annotations

import torch
from torch import Tensor

from vmrbench.types import Batch


def with_endpoints(batch: Batch) -> Tensor:
    """[B, L, D + 2] the clips of `batch` followed by their start and end as fractions of the video's duration."""
    ends = torch.stack([batch.clip_start, batch.clip_end], dim=-1) / batch.duration[:, None, None]
    return torch.cat([batch.clips, ends.to(batch.clips.dtype)], dim=-1)

"""A batch from arrays: of inputs that are known, or made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vmrbench.types import Batch


def even_batch(
    clips: Tensor,
    clip_mask: Tensor,
    query: Tensor,
    query_mask: Tensor,
    *,
    duration: Sequence[float],
    moments: Sequence[Tensor] | None = None,
    extra: Mapping[str, Tensor] | None = None,
) -> Batch:
    """A batch whose clips share each video's duration evenly, all of them expensive, without an index.

    Args:
        clips: [B, L, D], clip_mask: [B, L] true for real clips.
        query: [B, T, Dt], query_mask: [B, T] true for real tokens.
        duration: seconds of each video.
        moments: for each sample its true moments [M, 2] in seconds.
        extra: see `Batch`.
    """
    seconds = torch.tensor(duration, dtype=torch.float32)
    length = (seconds / clip_mask.sum(1))[:, None]
    place = torch.arange(clips.shape[1])[None]
    names = tuple(str(row) for row in range(len(clips)))
    return Batch(
        sample_ids=names,
        video_ids=names,
        clips=clips,
        clip_mask=clip_mask,
        clip_start=place * length * clip_mask,
        clip_end=(place + 1) * length * clip_mask,
        index=None,
        fine_weight=clip_mask.float(),
        query=query,
        query_mask=query_mask,
        duration=seconds,
        moments=None if moments is None else tuple(moments),
        extra=extra or {},
    )

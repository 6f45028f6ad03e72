"""True moments as training targets on the clip axis."""

from __future__ import annotations

from torch import Tensor

from vmrbench.trim.axis import seconds_to_axis
from vmrbench.types import Batch


def moment_fractions(batch: Batch) -> tuple[Tensor, ...]:
    """For each sample its true moments as fractions of the clip axis; a moment that meets no row is left out.

    Returns:
        a tensor [M', 2] of start and end in 0..1 for each sample, M' may be 0.

    Raises:
        ValueError: the batch has no labels.
    """
    if batch.moments is None:
        raise ValueError("moment_fractions needs labels, and this batch has none")
    rows = zip(batch.moments, batch.clip_start, batch.clip_end, batch.clip_mask, strict=True)
    return tuple(seconds_to_axis(m, start, end, mask) / mask.sum() for m, start, end, mask in rows)

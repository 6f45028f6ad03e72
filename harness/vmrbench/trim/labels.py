"""True moments as training targets on the clip axis."""

from __future__ import annotations

from torch import Tensor

from vmrbench.trim.axis import seconds_to_axis
from vmrbench.types import Batch


def moment_spans(batch: Batch) -> tuple[Tensor, ...]:
    """For each sample its true moments on the clip axis; a moment that meets no row is left out.

    Returns:
        a tensor [M', 2] of start and end, 0 to the number of real clips, for each sample; M' may be 0.

    Raises:
        ValueError: the batch has no labels.
    """
    if batch.moments is None:
        raise ValueError("true moments on the clip axis: needs labels, and this batch has none")
    rows = zip(batch.moments, batch.clip_start, batch.clip_end, batch.clip_mask, strict=True)
    return tuple(seconds_to_axis(m, start, end, mask) for m, start, end, mask in rows)


def moment_fractions(batch: Batch) -> tuple[Tensor, ...]:
    """`moment_spans` as fractions of the clip axis: for each sample [M', 2] of start and end in 0..1.

    Raises:
        ValueError: the batch has no labels.
    """
    return tuple(spans / count for spans, count in zip(moment_spans(batch), batch.lengths, strict=True))

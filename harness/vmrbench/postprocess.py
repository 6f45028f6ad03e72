"""From the seconds a model answers to ranked predictions, neither snapped nor thinned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vmrbench.errors import DataError
from vmrbench.types import Batch, Prediction

MOST_MOMENTS = 100


def to_predictions(spans_seconds: Tensor, scores: Tensor, batch: Batch) -> list[Prediction]:
    """Rank, clamp and cut what a model answered for a batch.

    Moments are clamped to the video, those that are then empty (start >= end) are dropped, the rest are ranked by
    score, equal scores in slot order, and the best 100 are kept.

    Args:
        spans_seconds: [B, Q, 2] start and end in seconds; read only where a slot holds a moment.
        scores: [B, Q], higher is better; -inf marks a slot that holds no moment.
        batch: the batch the answer belongs to: ids and durations.

    Returns:
        One prediction a sample, in batch order; one without moments where every slot is empty.

    Raises:
        DataError: a score is NaN or +inf, or a moment has a NaN; the message names the sample.
    """
    spans = spans_seconds.detach().cpu().double().numpy()
    ranks = scores.detach().cpu().double().numpy()
    durations = batch.duration.detach().cpu().double().numpy()
    return [
        Prediction(
            sample_id=sample_id,
            video_id=batch.video_ids[row],
            moments=_ranked(spans[row], ranks[row], float(durations[row]), sample_id),
        )
        for row, sample_id in enumerate(batch.sample_ids)
    ]


def _ranked(
    spans: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], duration: float, sample_id: str
) -> tuple[tuple[float, float, float], ...]:
    """Moments of one sample, best first. spans: [Q, 2] seconds; scores: [Q]."""
    bad = np.isnan(scores) | np.isposinf(scores)
    if bad.any():
        slot = int(bad.argmax())
        raise DataError(f"sample {sample_id!r}: the score of slot {slot} is {scores[slot]}; expected a number or -inf")
    filled = np.flatnonzero(~np.isneginf(scores))
    broken = np.isnan(spans[filled]).any(axis=1)
    if broken.any():
        slot = int(filled[broken.argmax()])
        raise DataError(f"sample {sample_id!r}: the moment of slot {slot} is {spans[slot].tolist()}; expected seconds")
    clamped = spans[filled].clip(0.0, duration)
    real = clamped[:, 0] < clamped[:, 1]
    clamped, kept = clamped[real], scores[filled][real]
    order = np.argsort(-kept, kind="stable")[:MOST_MOMENTS]
    return tuple((float(clamped[i, 0]), float(clamped[i, 1]), float(kept[i])) for i in order)

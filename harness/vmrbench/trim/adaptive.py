"""How many clips each query gets where only the mean is given: as many as score above one threshold for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vmrbench.errors import DataError
from vmrbench.trim.budget import ROUNDING, clip_budget, most_clips
from vmrbench.trim.selection_losses import standardised
from vmrbench.types import Batch

Floats = npt.NDArray[np.float64]


def allowance(batch: Batch, scores: Tensor, keep_ratio: float, threshold: float | None) -> tuple[Tensor, int | None]:
    """How many clips a trimmer may keep: what the ratio allows, or what its scores ask for.

    Args:
        batch: whose clips.
        scores: [B, L] one a clip, higher is better.
        keep_ratio: 0..1, read where `threshold` is None.
        threshold: on standardised scores; None for an exact budget.

    Returns:
        [B] clips of each video, and the largest number of them as the host knows it (None where only the scores tell).
    """
    if threshold is None:
        return clip_budget(batch.lengths, keep_ratio), most_clips(scores.shape[1], keep_ratio)
    above = (demand(scores, batch.clip_mask) >= threshold) & batch.clip_mask
    return above.sum(1).clamp(min=1), None


def demand(scores: Tensor, clip_mask: Tensor) -> Tensor:
    """[B, L] scores less their mean over the clips of the video, in standard deviations.

    So that neither the scale nor the level of a trimmer's scores matters, which its losses may leave open: what counts
    is how far the clips of a video stand out from one another.
    """
    return standardised(scores.detach().double(), clip_mask)


def calibrated_threshold(scores: Sequence[Floats], share: float) -> float:
    """The threshold with which queries keep `share` of their clips on average, or the next less where clips are equal.

    It lies halfway between the last clip that is kept and the first that is not, so that no rounding decides.

    Args:
        scores: for every query [L] the standardised scores of its clips, from `demand`.
        share: mean over queries, 0..1; every query keeps its best clip whatever the threshold.

    Raises:
        DataError: a score is not a number.

    Example:
        >>> calibrated_threshold([np.array([2.0, 1.0, -3.0]), np.array([1.5, 0.0, -1.5])], 2 / 3)
        -0.75
    """
    if not all(np.isfinite(found).all() for found in scores):
        raise DataError("a trimmer scores a clip with NaN or infinity: no threshold can be found for its budget")
    # Of every query its best clip is not at stake.
    rest = np.concatenate([np.sort(found)[:-1] for found in scores])
    if len(rest) == 0:
        return 0.0
    weight = np.concatenate([np.full(len(found) - 1, 1 / len(found)) for found in scores])
    places, which = np.unique(rest, return_inverse=True)
    places, kept = places[::-1], np.bincount(which, weight)[::-1].cumsum()
    left = share * len(scores) - sum(1 / len(found) for found in scores)
    more = int(np.searchsorted(kept, left + ROUNDING, side="right"))
    above = places[more - 1] if more > 0 else places[0] + 1
    below = places[more] if more < len(places) else places[-1] - 1
    return float((above + below) / 2)


def clips_kept(scores: Floats, threshold: float) -> int:
    """How many clips a query keeps. scores: [L], from `demand`."""
    return max(1, int((scores >= threshold).sum()))


def real_rows(values: Tensor, lengths: Tensor) -> list[Floats]:
    """[L] values of every sample without its padding. values: [B, L]; lengths: [B]."""
    found = values.to(torch.float64).numpy(force=True)
    return [found[row, :clips] for row, clips in enumerate(lengths.tolist())]

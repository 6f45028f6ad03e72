"""What a selection of clips leaves possible, and whose fault a failure is: the trimmer's or the backbone's.

Ceiling. A window is *within reach* when both of its ends lie in kept clips (their borders included); what is between
may be trimmed. These are the windows that a backbone can answer which sees the kept clips alone, as
`vmrbench.trim.axis.axis_to_seconds` maps them; with one run of kept clips they are the windows inside that crop. The
ceiling of a query is the best IoU of a window within reach over its true moments, 0 where nothing was kept. Where rows
without expensive features stay in the input (`fill`) an end may be read from the index: the ceiling is then no bound,
and a score above it says that the index placed ends.

Failures. A query whose first window misses is *trimmed away* where less than half of its true moment was kept, and
*missed by the backbone* where at least half was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vmrbench.score.moments import Floats, MomentTable
from vmrbench.spans import iou_matrix

# Of the true moment, in seconds. CONE-style training calls a window with less than this of a moment a negative one.
ENOUGH_KEPT = 0.5


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Shares of all queries, 0..1. hit, trimmed_away and missed add up to 1; short: less than half was kept."""

    hit: float
    trimmed_away: float
    missed: float
    short: float


def best_iou_within_reach(kept: Sequence[Floats], truth: MomentTable) -> Floats:
    """[N] the ceiling of every query, as the module says, 0..1.

    Args:
        kept: for every query [K, 2] start and end in seconds of its kept clips, ascending; K may be 0.
        truth: the true moments of the same queries.

    Raises:
        ValueError: as many selections as queries were expected.
    """
    if len(kept) != len(truth.spans):
        raise ValueError(f"{len(kept)} selections for {len(truth.spans)} queries")
    return np.array(
        [_best(clips, spans[present]) for clips, spans, present in zip(kept, truth.spans, truth.present, strict=True)],
        dtype=np.float64,
    )


def split_failures(hit: npt.NDArray[np.bool_], moment_kept: Floats) -> Failures:
    """How queries fail.

    Args:
        hit: [N] whether the first window reaches the threshold.
        moment_kept: [N] share of the true moment that lies in kept clips, 0..1.

    Raises:
        ValueError: there is no query, or the two do not agree on their number.
    """
    if len(hit) == 0 or hit.shape != moment_kept.shape:
        raise ValueError(
            f"hits of {len(hit)} queries and kept shares of {len(moment_kept)}; expected equally many, > 0"
        )
    short = moment_kept < ENOUGH_KEPT
    return Failures(
        hit=float(hit.mean()),
        trimmed_away=float((~hit & short).mean()),
        missed=float((~hit & ~short).mean()),
        short=float(short.mean()),
    )


def _best(kept: Floats, moments: Floats) -> float:
    """Best IoU of a window within reach over moments [M, 2]. kept: [K, 2].

    With the other end fixed, IoU only falls as an end moves away from the true one, on either side. So the best window
    starts at the kept time nearest to the true start from the left or from the right, and ends likewise.
    """
    if len(kept) == 0:
        return 0.0
    starts, ends = _nearest(kept, moments[:, 0]), _nearest(kept, moments[:, 1])
    windows = np.stack(np.broadcast_arrays(starts[:, :, None], ends[:, None, :]), axis=-1).reshape(len(moments), 4, 2)
    # A pair in the wrong order, or without one of its ends (NaN), is no window.
    usable = windows[..., 1] > windows[..., 0]
    windows = np.where(usable[..., None], windows, 0.0)
    overlap = iou_matrix(torch.from_numpy(windows), torch.from_numpy(moments[:, None, :]))[..., 0].numpy()
    return float(np.where(usable, overlap, 0.0).max(initial=0.0))


def _nearest(kept: Floats, times: Floats) -> Floats:
    """[M, 2] the kept time nearest to each of `times` [M] from the left, and from the right; NaN where there is none.

    A time inside a kept clip is its own neighbour on both sides.
    """
    start, end = kept[None, :, 0], kept[None, :, 1]
    at = times[:, None]
    left = np.where(start <= at, np.minimum(end, at), -np.inf).max(1)
    right = np.where(end >= at, np.maximum(start, at), np.inf).min(1)
    found = np.stack([left, right], axis=1)
    return np.where(np.isfinite(found), found, np.nan)

"""How a selection is spread over queries, and how much of it an exchanged query changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmrbench.score.moments import Floats

# Columns of a per-query table: share of the true moment kept, with the query itself and with another's; the best IoU of
# a window within reach (`vmrbench.score.ceilings`). All 0..1.
KEPT, KEPT_SHUFFLED, REACH = "moment_kept", "moment_kept_shuffled", "reach_iou"
HISTOGRAM_BINS = 20
QUANTILES = (10, 50, 90)


def kept_histogram(kept_ratio: Floats) -> list[float]:
    """Shares of queries, 0..1, by kept ratio: 20 bins of 0.05, the last with both of its borders.

    Args:
        kept_ratio: [N] share of clips kept, 0..1.
    """
    # A ratio such as 0.15 may lie a rounding error under the border of its bin.
    counts, _ = np.histogram(kept_ratio + 1e-9, bins=HISTOGRAM_BINS, range=(0.0, 1.0 + 1e-9))
    return [float(share) for share in counts / max(len(kept_ratio), 1)]


def kept_quantiles(kept_ratio: Floats) -> dict[str, float]:
    """`p10`, `p50`, `p90` of the kept ratio over queries. kept_ratio: [N], at least one."""
    found = np.percentile(kept_ratio, QUANTILES)
    return {f"p{quantile}": float(value) for quantile, value in zip(QUANTILES, found, strict=True)}


def same_clips(kept: Sequence[npt.NDArray[np.int_]], other: Sequence[npt.NDArray[np.int_]]) -> float | None:
    """Mean share of a query's kept clips that another selection of the same video keeps too, 0..1.

    Near the keep ratio for selections that have nothing to do with each other, 1 for one that ignores the query.

    Args:
        kept: for every query the positions of its clips.
        other: the same of the other selection.

    Returns:
        The mean over queries that keep a clip; None where none does.
    """
    shares = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(kept, other, strict=True) if len(a)]
    return float(np.mean(shares)) if shares else None

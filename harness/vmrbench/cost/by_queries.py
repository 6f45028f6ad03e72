"""What a query costs as a video gets more of them, and where trimming by query stops paying.

A system that remembers every clip it has encoded pays, for m queries on a video of L clips,

    cost(m) = text + L / m * index + trim + E|U_m| / m * encode + backbone

with U_m the clips kept by at least one of the m queries. *Encode once* is the same with U_m all clips and no trimming.
Which m queries of a video are asked is left to chance, so E|U_m| is a mean over all subsets of m of its q queries. It
is computed exactly: a clip that c of the q queries keep is missing from a subset with probability
C(q - c, m) / C(q, m). Queries that choose independently with keep ratio r give E|U_m| = L (1 - (1 - r)^m).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmrbench.cost.stages import Floats, QueryUse, UnitCosts

# Beyond this many queries a video the curve is not kept.
MOST_QUERIES = 200


@dataclass(frozen=True, kw_only=True)
class QueryCurve:
    """Mean cost of a query by queries per video, for 1, 2, ... M of them.

    videos: [M] videos that have as many queries, over which the mean is taken, each video counting once; macs: [M] in
    multiply-adds; index_macs: [M] the part of the index in it. macs is empty where a unit cost is unknown, for the
    `reason`.
    """

    videos: tuple[int, ...]
    macs: tuple[float, ...]
    index_macs: tuple[float, ...]
    reason: str | None = None


def expected_union(keeps: NDArray[np.bool_]) -> Floats:
    """[q] expected number of clips kept by at least one of m random queries, for m = 1 .. q.

    Args:
        keeps: [q, L] clips kept by each query of a video, q at least 1.

    Example:
        >>> expected_union(np.array([[True, False], [True, True]])).tolist()
        [1.5, 2.0]
    """
    queries = len(keeps)
    keeping, clips = np.unique(keeps.sum(0), return_counts=True)
    # missing[c] is C(q - c, m) / C(q, m), made from m to m + 1: one more of the other queries than those that keep it.
    missing = np.ones(len(keeping))
    union = np.empty(queries)
    for drawn in range(queries):
        missing = missing * np.clip(queries - keeping - drawn, 0, None) / (queries - drawn)
        union[drawn] = float((clips * (1 - missing)).sum())
    return union


def cost_by_queries(uses: Sequence[QueryUse], units: UnitCosts) -> QueryCurve:
    """The curve of an arm from what each of its queries used.

    Args:
        uses: one entry a query; the queries of a video agree on its number of clips.
        units: unit costs of its data set.
    """
    gaps = [f"{name}: {unit.reason}" for name, unit in vars(units).items() if unit.value is None]
    by_video: dict[str, list[QueryUse]] = {}
    for use in uses:
        by_video.setdefault(use.video_id, []).append(use)
    longest = min(max((len(found) for found in by_video.values()), default=0), MOST_QUERIES)
    counts = np.array([len(found) for found in by_video.values()])
    videos = tuple(int((counts >= m).sum()) for m in range(1, longest + 1))
    if gaps:
        return QueryCurve(videos=videos, macs=(), index_macs=(), reason="; ".join(gaps))
    total, index = np.zeros(longest), np.zeros(longest)
    for found in by_video.values():
        fixed, own_index = _of_video(found, units)
        many = min(len(fixed), longest)
        total[:many] += (fixed + own_index)[:many]
        index[:many] += own_index[:many]
    return QueryCurve(videos=videos, macs=tuple(total / videos), index_macs=tuple(index / videos))


def crossing(trimmed: Sequence[float], once: Sequence[float]) -> int | None:
    """The fewest queries a video from which trimming costs no less than encoding once; None where it always does.

    Args:
        trimmed, once: cost of a query for 1, 2, ... queries a video, of the same videos; the shorter one decides.
    """
    return next((m for m, (a, b) in enumerate(zip(trimmed, once, strict=False), start=1) if a >= b), None)


def independent_costs(cold: Mapping[str, float], ratio: float, queries: NDArray[np.int_]) -> Floats:
    """Cost of a query where the queries of a video choose independently, in multiply-adds.

    Args:
        cold: mean multiply-adds of a query by stage when nothing is cached; `index` and `encode` are shared, what else
            there is comes with every query.
        ratio: share of clips that one query keeps, 0..1.
        queries: queries a video, each at least 1.
    """
    shared = {name: cold.get(name, 0.0) for name in ("index", "encode")}
    own = sum(cold.values()) - sum(shared.values())
    growth = (1 - (1 - ratio) ** queries) / ratio if ratio > 0 else queries.astype(np.float64)
    costs: Floats = own + (shared["index"] + shared["encode"] * growth) / queries
    return costs


def _of_video(uses: Sequence[QueryUse], units: UnitCosts) -> tuple[Floats, Floats]:
    """[q] cost without the index, and of the index, of a query of one video when 1 .. q of its queries are asked."""
    text, index, encode = (unit.value or 0.0 for unit in (units.text, units.index, units.encode))
    drawn = np.arange(1, len(uses) + 1)
    union = expected_union(np.stack([use.encoded for use in uses]))
    own = text + float(np.mean([use.trim_macs + use.backbone_macs for use in uses]))
    return own + encode * union / drawn, index * len(uses[0].keep) / drawn

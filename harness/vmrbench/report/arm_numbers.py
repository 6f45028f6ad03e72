"""What a sweep summary says of one arm: numbers that know where they are from, or why they are none.

Units are those of `vmrbench.report.summary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number, how it is known, or why there is none.

    basis: `counted`, `measured`, `declared`, `unknown`, `not_macs` for a stage that has no multiply-adds, or None.
    """

    value: float | None
    basis: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over queries with its interval; per_seed: the mean of every seed, in the order of the seeds."""

    value: float | None
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    n: int = 0
    n_sources: int = 0
    per_seed: tuple[float, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds a query, batch 1: median over seeds of each run's percentiles; n: timed queries of all runs."""

    p50_ms: float | None
    p90_ms: float | None
    n: int
    valid: bool
    reason: str | None = None


UNRECORDED = Quantity(value=None, reason="not recorded: the run is of an earlier format; `vmrbench run` adds it")


@dataclass(frozen=True, kw_only=True)
class QueryCosts:
    """Mean multiply-adds of a query for 1, 2, ... queries a video, over the videos that have as many.

    videos: how many those are; macs: empty where there is none, for the `reason`; index_macs: the index's part of them.
    """

    videos: tuple[int, ...] = ()
    macs: tuple[float, ...] = ()
    index_macs: tuple[float, ...] = ()
    reason: str | None = UNRECORDED.reason


@dataclass(frozen=True, kw_only=True)
class Strip:
    """How clips were chosen for one sample query, one digit 0..9 for each stretch of the video, mean over seeds.

    kept: share of its clips that were kept; heat: the trimmer's scores, scaled by their extremes, None without scores.
    """

    kept: str
    heat: str | None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What an arm kept and what that cost it; docs/diagnostics.md defines every number.

    kept_quantiles: `p10`, `p50`, `p90` of the share of clips kept, over queries; kept_histogram: shares of queries in
    20 equal bins of it; ceilings, trimmed_away, missed: percent of queries, by metric `R1@<IoU>`; moment_kept_shuffled,
    same_clips: with another's query, 0..1; language_gain: points of the true moment that the right query keeps more;
    strips: by sample id, of the sample queries of the data set.
    """

    kept_quantiles: Mapping[str, Quantity] = field(default_factory=dict)
    kept_histogram: tuple[float, ...] = ()
    ceilings: Mapping[str, Quantity] = field(default_factory=dict)
    trimmed_away: Mapping[str, Quantity] = field(default_factory=dict)
    missed: Mapping[str, Quantity] = field(default_factory=dict)
    moment_kept_shuffled: Quantity = UNRECORDED
    same_clips: Quantity = UNRECORDED
    language_gain: Estimate = Estimate(value=None, reason=UNRECORDED.reason)
    by_queries: QueryCosts = QueryCosts()
    strips: Mapping[str, Strip] = field(default_factory=dict)

    def of(self, what: Literal["ceilings", "trimmed_away", "missed"], metric: str) -> Quantity:
        """One of the numbers by metric; without a value, with a reason, where it was not recorded."""
        found: Mapping[str, Quantity] = getattr(self, what)
        return found.get(metric, UNRECORDED)


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """A budget that follows the query.

    keep_ratio: the declared mean; split: where the thresholds were chosen, one a seed; budget_ratio: share of clips
    that an exact budget keeps there, in whole clips; kept_ratio: share that they keep there; means over queries and
    seeds.
    """

    keep_ratio: float
    split: str
    thresholds: tuple[float, ...]
    budget_ratio: Quantity
    kept_ratio: Quantity


@dataclass(frozen=True, kw_only=True)
class ProbeScores:
    """Scores of an arm whose inputs a probe changed, and the paired difference to its own, by metric."""

    scores: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class OodScores:
    """Scores of an arm on the test split that is unlike train, and their gap to those on the other one, by metric."""

    scores: Mapping[str, Estimate]
    gaps: Mapping[str, Estimate]

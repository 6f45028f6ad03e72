"""Numbers of several seeds as one: their mean, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from vmrbench.report.arm_numbers import Estimate, Quantity
from vmrbench.score.intervals import Interval

NOT_RECORDED = "not recorded"
# A committed summary need not hold more of a percentage than this.
_DIGITS = 4


def mean_quantity(entries: Sequence[Mapping[str, Any]]) -> Quantity:
    """Mean of `value`; none where one is missing. One declared part makes the whole declared."""
    values = [float(entry["value"]) for entry in entries if entry.get("value") is not None]
    bases = [entry["basis"] for entry in entries if entry.get("basis")]
    basis = "declared" if "declared" in bases else next(iter(bases), None)
    if not entries or len(values) < len(entries):
        reasons = [entry.get("reason") or NOT_RECORDED for entry in entries if entry.get("value") is None]
        return Quantity(value=None, basis=basis, reason=next(iter(reasons), NOT_RECORDED))
    return Quantity(value=fmean(values), basis=basis)


def mean_of(values: Sequence[Any]) -> Quantity:
    """Mean of plain numbers; none where one is None."""
    return mean_quantity([{"value": value} for value in values])


def estimate_of(interval: Interval, per_seed: tuple[float, ...]) -> Estimate:
    """An interval as the summary keeps it, with every seed's own mean."""
    return Estimate(
        value=round(interval.value, _DIGITS),
        low=None if interval.low is None else round(interval.low, _DIGITS),
        high=None if interval.high is None else round(interval.high, _DIGITS),
        standard_error=None if interval.standard_error is None else round(interval.standard_error, _DIGITS),
        n=interval.n,
        n_sources=interval.n_clusters,
        per_seed=tuple(round(value, _DIGITS) for value in per_seed),
        reason=interval.reason,
    )

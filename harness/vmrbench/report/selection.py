"""What an arm kept and what that cost it, from the records and per-query tables of its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vmrbench.protocol.convention import Protocol
from vmrbench.report.arm_numbers import Estimate, Quantity, QueryCosts, Selection, Strip
from vmrbench.report.seed_means import estimate_of, mean_of, mean_quantity
from vmrbench.score.intervals import over_seeds
from vmrbench.score.selection import KEPT, KEPT_SHUFFLED
from vmrbench.score.strips import digits_of, shares_of

_GAIN = "language_gain"
# Significant ones: a selection may cost a millionth of what it saves.
_DIGITS = 7


def selection_of(records: Sequence[Mapping[str, Any]], frames: Sequence[pd.DataFrame], protocol: Protocol) -> Selection:
    """Mean over the seeds of an arm; numbers that a record of an earlier format lacks have none, with the reason.

    Args:
        records: of the seeds.
        frames: their per-query tables.
        protocol: of the interval.
    """
    found = [record.get("diagnostics") or {} for record in records]
    if not all("ceilings" in entry for entry in found):
        return Selection()
    shuffled = [entry["shuffled_selection"] for entry in found]
    return Selection(
        kept_quantiles=_by_name([entry["kept_ratio_quantiles"] for entry in found]),
        kept_histogram=_mean_tuple([entry["kept_ratio_histogram"] for entry in found]),
        ceilings=_by_name([entry["ceilings"] for entry in found]),
        trimmed_away=_by_name([_of(entry["failures"], "trimmed_away") for entry in found]),
        missed=_by_name([_of(entry["failures"], "missed") for entry in found]),
        moment_kept_shuffled=_shuffled(shuffled, "moment_kept_mean"),
        same_clips=_shuffled(shuffled, "same_clips_mean"),
        language_gain=_language_gain(frames, protocol, shuffled),
        by_queries=_by_queries([record["cost"]["by_queries"] for record in records]),
        strips=_strips([entry["strips"] for entry in found]),
    )


def _language_gain(
    frames: Sequence[pd.DataFrame], protocol: Protocol, shuffled: Sequence[Mapping[str, Any]]
) -> Estimate:
    """Points of the true moment that the right query keeps more than another's, paired by query."""
    if not all(KEPT_SHUFFLED in frame.columns for frame in frames):
        return Estimate(value=None, reason=next((entry["reason"] for entry in shuffled if entry["reason"]), None))
    gains = [frame.assign(**{_GAIN: 100 * (frame[KEPT] - frame[KEPT_SHUFFLED])}) for frame in frames]
    seeds = over_seeds(gains, [_GAIN], protocol)
    return estimate_of(seeds.mean[_GAIN], seeds.per_seed[_GAIN])


def _by_queries(seeds: Sequence[Mapping[str, Any]]) -> QueryCosts:
    """All seeds answer the same queries, so their curves have one length."""
    reason = next((str(seed["reason"]) for seed in seeds if seed["reason"]), None)
    return QueryCosts(
        videos=tuple(seeds[0]["videos"]),
        macs=() if reason else _mean_tuple([seed["macs"] for seed in seeds]),
        index_macs=() if reason else _mean_tuple([seed["index_macs"] for seed in seeds]),
        reason=reason,
    )


def _strips(seeds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Strip]:
    """Mean over seeds of every strip; no heat where a seed has none."""
    found = {}
    for name in seeds[0]:
        strips = [seed[name] for seed in seeds]
        heats = [strip["heat"] for strip in strips]
        found[name] = Strip(
            kept=_mean_digits([strip["kept"] for strip in strips]),
            heat=None if None in heats else _mean_digits(heats),
        )
    return found


def _mean_digits(strips: Sequence[str]) -> str:
    return digits_of(np.mean([shares_of(strip) for strip in strips], axis=0))


def _shuffled(seeds: Sequence[Mapping[str, Any]], name: str) -> Quantity:
    return mean_quantity([{"value": seed[name], "reason": seed["reason"]} for seed in seeds])


def _of(failures: Mapping[str, Mapping[str, float]], kind: str) -> dict[str, float]:
    return {metric: shares[kind] for metric, shares in failures.items()}


def _by_name(seeds: Sequence[Mapping[str, float]]) -> dict[str, Quantity]:
    return {name: mean_of([seed.get(name) for seed in seeds]) for name in seeds[0]}


def _mean_tuple(seeds: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Mean over seeds place by place, to seven significant digits."""
    return tuple(float(f"{value:.{_DIGITS}g}") for value in np.mean(seeds, axis=0))

"""Intervals: a bootstrap over source videos, because queries of one video succeed and fail together.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993 (percentile interval); whole clusters are drawn
as in Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vmrbench.errors import DataError
from vmrbench.protocol.convention import VMRBENCH_V1, Protocol
from vmrbench.score.moments import Floats
from vmrbench.score.per_query import SAMPLE, SOURCE, VIDEO

_FEW_SOURCES = 30
# Low, high and standard error.
Spread = tuple[float | None, float | None, float | None]
_DRAWS_AT_ONCE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over queries with its bootstrap interval, in the unit of the column.

    n: queries; n_clusters: source videos; standard_error: spread of the resampled means. low, high and
    standard_error are None where no interval can be had, for the `reason`.
    """

    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    n: int
    n_clusters: int
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class SeedScores:
    """Scores over seeds: interval of the seed mean by column, and every seed's own mean by column."""

    mean: Mapping[str, Interval]
    per_seed: Mapping[str, tuple[float, ...]]


def few_sources_note(n_sources: int) -> str:
    """A sentence where a percentile interval is too narrow because there are too few source videos, else empty."""
    if n_sources >= _FEW_SOURCES:
        return ""
    return f"With fewer than {_FEW_SOURCES} source videos the intervals are too narrow rather than too wide."


def bootstrap(
    per_query: pd.DataFrame, columns: Sequence[str], protocol: Protocol = VMRBENCH_V1, *, by_query: bool = False
) -> dict[str, Interval]:
    """Mean and interval of columns, resampling source videos.

    Args:
        per_query: one row a query, from `score_predictions`; `source_id`, or else `video_id`, names the cluster.
        columns: the columns to average.
        protocol: resamples, seed and confidence; without resamples there is no interval.
        by_query: resample queries instead, as if those of one video were independent: too narrow where they are not.

    Returns:
        Intervals by column; without low and high where there are fewer than two source videos.

    Raises:
        DataError: a column is missing, has a NaN, or there are no queries.
    """
    values = _values(per_query, columns)
    sums, sizes = _clustered(per_query, values, by_query)
    reason = _no_interval(len(sizes), "queries" if by_query else "source videos", protocol)
    spreads: Sequence[Spread] = [(None, None, None)] * len(columns)
    if reason is None:
        spreads = _spreads(_resampled_means(sums, sizes, protocol), protocol)
    return _named(columns, values.mean(axis=0), spreads, len(values), len(sizes), reason)


def paired_difference(
    a: pd.DataFrame, b: pd.DataFrame, columns: Sequence[str], protocol: Protocol = VMRBENCH_V1
) -> dict[str, Interval]:
    """Mean of a - b by query, with its interval.

    Raises:
        DataError: `a` and `b` do not hold the same queries, once each, or a column cannot be used.
    """
    return bootstrap(differences(a, b, columns), columns, protocol)


def unpaired_difference(
    a: pd.DataFrame, b: pd.DataFrame, columns: Sequence[str], protocol: Protocol = VMRBENCH_V1
) -> dict[str, Interval]:
    """Mean of `a` less mean of `b`, which hold different queries, with its interval; n and n_clusters are of both.

    The source videos of `a` and those of `b` are resampled apart.

    Raises:
        DataError: a column is missing, has a NaN, or one of the two holds no query.
    """
    tables = [_clustered(frame, _values(frame, columns), by_query=False) for frame in (a, b)]
    means = [sums.sum(axis=0) / sizes.sum() for sums, sizes in tables]
    reason = next(filter(None, (_no_interval(len(sizes), "source videos", protocol) for _, sizes in tables)), None)
    spreads: Sequence[Spread] = [(None, None, None)] * len(columns)
    if reason is None:
        here, there = (_resampled_means(*table, protocol, stream) for stream, table in enumerate(tables))
        spreads = _spreads(here - there, protocol)
    clusters = sum(len(sizes) for _, sizes in tables)
    return _named(columns, means[0] - means[1], spreads, len(a) + len(b), clusters, reason)


def differences(a: pd.DataFrame, b: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """A - b by query, in the order of `a`, with ids and videos.

    Raises:
        DataError: as `paired_difference`.
    """
    difference = _values(a, columns) - _values(_aligned(b, a), columns)
    frame = a[[name for name in (SAMPLE, VIDEO, SOURCE) if name in a.columns]].reset_index(drop=True)
    return pd.concat([frame, pd.DataFrame(difference, columns=list(columns))], axis=1)


def chance_of_difference(
    difference: pd.DataFrame, columns: Sequence[str], protocol: Protocol = VMRBENCH_V1
) -> dict[str, float | None]:
    """Two-sided p of a paired randomisation test: how often a difference as large arises when signs are drawn.

    The sign of a whole source video is drawn at a time, as often as the protocol resamples; None without two of them.

    Args:
        difference: one row a query, from `differences`.
        columns: the columns to test.
        protocol: resamples and seed.

    Source:
        Smucker et al., A Comparison of Statistical Significance Tests for Information Retrieval Evaluation, 2007.
    """
    sums, sizes = _clustered(difference, _values(difference, columns), by_query=False)
    if _no_interval(len(sizes), "source videos", protocol):
        return dict.fromkeys(columns)
    generator = np.random.default_rng(protocol.seed)
    chunk = max(1, _DRAWS_AT_ONCE // len(sizes))
    extreme = np.zeros(len(columns))
    for start in range(0, protocol.resamples, chunk):
        rows = min(chunk, protocol.resamples - start)
        signs = 2.0 * generator.integers(0, 2, size=(rows, len(sizes)), dtype=np.int8) - 1.0
        # A rounding error must not turn an equal sum into a smaller one.
        extreme += (np.abs(signs @ sums) >= np.abs(sums.sum(axis=0)) - 1e-6).sum(axis=0)
    return {name: float(p) for name, p in zip(columns, (extreme + 1) / (protocol.resamples + 1), strict=True)}


def average_seeds(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Every query averaged over runs that differ in their seed; rows in the order of the first.

    Raises:
        DataError: there is no run, or the runs do not hold the same queries.
    """
    if not frames:
        raise DataError("seeds: found no run to average; expected at least one")
    first = frames[0].reset_index(drop=True)
    stacked = np.stack([_values(_aligned(frame, first), columns) for frame in frames])
    kept = first[[name for name in (SAMPLE, VIDEO, SOURCE) if name in first.columns]]
    return pd.concat([kept, pd.DataFrame(stacked.mean(axis=0), columns=list(columns))], axis=1)


def over_seeds(frames: Sequence[pd.DataFrame], columns: Sequence[str], protocol: Protocol = VMRBENCH_V1) -> SeedScores:
    """Interval of the mean over seeds, which tells of the queries, beside each seed's value, which tells of training.

    Raises:
        DataError: as `average_seeds`.
    """
    mean = bootstrap(average_seeds(frames, columns), columns, protocol)
    each = {name: tuple(float(frame[name].mean()) for frame in frames) for name in columns}
    return SeedScores(mean=mean, per_seed=each)


def _clustered(per_query: pd.DataFrame, values: Floats, by_query: bool) -> tuple[Floats, Floats]:
    """[C, K] sums of the values of each cluster, and [C] queries of each."""
    if by_query:
        return values, np.ones(len(values))
    clusters, names = pd.factorize(per_query[SOURCE if SOURCE in per_query.columns else VIDEO])
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, clusters, values)
    return sums, np.bincount(clusters).astype(np.float64)


def _no_interval(clusters: int, kind: str, protocol: Protocol) -> str | None:
    """Why no interval can be had, else None."""
    if protocol.resamples == 0:
        return "no interval was asked for"
    return f"an interval needs at least 2 {kind}, found {clusters}" if clusters < 2 else None


def _named(
    columns: Sequence[str], values: Floats, spreads: Sequence[Spread], n: int, clusters: int, reason: str | None
) -> dict[str, Interval]:
    return {
        name: Interval(
            value=float(value), low=low, high=high, standard_error=error, n=n, n_clusters=clusters, reason=reason
        )
        for name, value, (low, high, error) in zip(columns, values, spreads, strict=True)
    }


def _spreads(resampled: Floats, protocol: Protocol) -> list[Spread]:
    """Low, high and standard error of each column. resampled: [R, K]."""
    tail = 50.0 * (1.0 - protocol.confidence)
    low, high = np.percentile(resampled, [tail, 100.0 - tail], axis=0)
    error = resampled.std(axis=0, ddof=1)
    return [(float(a), float(b), float(c)) for a, b, c in zip(low, high, error, strict=True)]


def _resampled_means(sums: Floats, sizes: Floats, protocol: Protocol, stream: int = 0) -> Floats:
    """[R, K] means of resampled clusters. sums: [C, K] per cluster; sizes: [C] queries per cluster.

    stream: another number draws independently.
    """
    generator = np.random.default_rng((protocol.seed, stream) if stream else protocol.seed)
    count = len(sizes)
    table = np.concatenate([sums, sizes[:, None]], axis=1)
    chunk = max(1, _DRAWS_AT_ONCE // count)
    means = []
    for start in range(0, protocol.resamples, chunk):
        rows = min(chunk, protocol.resamples - start)
        drawn = generator.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        # How often each cluster was drawn: a multinomial, from which the sums follow by one product.
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        totals = times.astype(np.float64) @ table
        means.append(totals[:, :-1] / totals[:, -1:])
    return np.concatenate(means)


def _values(per_query: pd.DataFrame, columns: Sequence[str]) -> Floats:
    missing = [name for name in columns if name not in per_query.columns]
    if missing:
        raise DataError(f"per-query scores: no column {missing[0]!r}; found {', '.join(map(str, per_query.columns))}")
    if per_query.empty:
        raise DataError("per-query scores: found no query; expected at least one")
    values = per_query[list(columns)].to_numpy(dtype=np.float64)
    if np.isnan(values).any():
        row, column = np.argwhere(np.isnan(values))[0]
        raise DataError(f"per-query scores: {columns[column]!r} of query {per_query[SAMPLE].iloc[row]!r} is NaN")
    return values


def _aligned(frame: pd.DataFrame, order: pd.DataFrame) -> pd.DataFrame:
    """`frame` with its rows in the order of `order`."""
    here, there = frame[SAMPLE], order[SAMPLE]
    if here.duplicated().any() or there.duplicated().any():
        twice = pd.concat([here[here.duplicated()], there[there.duplicated()]]).iloc[0]
        raise DataError(f"per-query scores: query {twice!r} comes twice; expected every query once")
    only = sorted(set(here) ^ set(there))
    if only:
        raise DataError(
            f"per-query scores: {len(only)} queries are in one run only, such as {only[0]!r}; "
            "compare runs on the same queries"
        )
    return frame.set_index(SAMPLE, drop=False).loc[list(there)].reset_index(drop=True)

"""Draws that reproduce published statistics even in small samples: stratified quantiles and fitted start positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmrbench_plugins._simulator.profiles import PERCENTS, Profile

Floats = NDArray[np.float64]
START_EDGES = np.array([0.0, 0.02, 0.2, 0.4, 0.6, 0.8, 1.0])


def quantile(levels: Floats, values: tuple[float, ...]) -> Floats:
    """Values at `levels` (0..1) of the distribution whose quantiles at `PERCENTS` are `values`."""
    return np.asarray(np.interp(levels, np.asarray(PERCENTS) / 100.0, np.asarray(values)))


def stratified_levels(rng: np.random.Generator, count: int) -> Floats:
    """[count] uniform numbers, one in each of `count` equal strata, in random order."""
    return (rng.permutation(count) + rng.random(count)) / count


def fit_start_weights(profile: Profile) -> Floats:
    """[6] weights of the `START_EDGES` bins, so that starts drawn under start <= 1 - fraction meet the target.

    A moment must end inside its video, which forbids late starts to long moments and would shift the histogram to
    early starts; iterative proportional fitting corrects that on a fixed sample of fractions.
    """
    levels = (np.arange(400) + 0.5) / 400
    fractions = quantile(levels, profile.fractions)
    if profile.fractions_are_seconds:
        fractions = fractions / profile.target.duration[0]
    target = start_target(profile)
    room = _room(fractions)
    weights = target.copy()
    for _ in range(60):
        share = room * weights
        share /= share.sum(1, keepdims=True)
        weights *= target / np.maximum(share.mean(0), 1e-9)
        weights /= weights.sum()
    return weights


def start_target(profile: Profile) -> Floats:
    """[6] target share of the `START_EDGES` bins."""
    first, *rest = profile.target.start_histogram
    shares = np.array([profile.target.start_at_zero, first - profile.target.start_at_zero, *rest])
    return np.asarray(shares / shares.sum())


def draw_starts(rng: np.random.Generator, fractions: Floats, weights: Floats) -> Floats:
    """[N] start fractions for moments of length `fractions` [N], each with start + length <= 1."""
    share = _room(fractions) * weights
    cumulative = np.cumsum(share, 1)
    picked = (rng.random((len(fractions), 1)) * cumulative[:, -1:] >= cumulative).sum(1).clip(max=len(weights) - 1)
    low = START_EDGES[picked]
    high = np.maximum(np.minimum(START_EDGES[picked + 1], 1.0 - fractions), low)
    starts = low + (high - low) * rng.random(len(fractions))
    return np.asarray(np.clip(starts, 0.0, np.maximum(1.0 - fractions, 0.0)))


def _room(fractions: Floats) -> Floats:
    """[N, 6] share of every start bin that a moment of this length can start in."""
    low, high = START_EDGES[:-1], START_EDGES[1:]
    room = np.clip((1.0 - fractions)[:, None] - low, 0.0, high - low) / (high - low)
    room[:, 0] = np.maximum(room[:, 0], 1e-6)
    return np.asarray(room)

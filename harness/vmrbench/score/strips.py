"""Selections of a few sample queries, small enough to be kept in a record: one digit for every stretch of the video."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from vmrbench.score.moments import Floats
from vmrbench.types import Annotation

SAMPLES = 6
# Longer videos are cut into as many stretches of equally many clips, as far as that goes.
MOST_STRETCHES = 120


def sample_places(annotations: Sequence[Annotation]) -> list[int]:
    """Positions of up to six queries of different videos, chosen by the hash of their ids: no result can choose them.

    The queries with the smallest SHA-256 of their id, one a video, in that order.
    """
    order = sorted(range(len(annotations)), key=lambda place: sha256(annotations[place].sample_id.encode()).digest())
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(annotations[place].video_id, place)
    return list(first.values())[:SAMPLES]


def stretch_bounds(clips: int) -> list[int]:
    """Clips at which the stretches of a video begin, and its number of clips at the end; clips is at least 1."""
    stretches = min(clips, MOST_STRETCHES)
    return [place * clips // stretches for place in range(stretches + 1)]


def digits_of(values: Floats) -> str:
    """The mean of every stretch as one digit, 0 for 0 to 9 for 1. values: [L], 0..1, one a clip."""
    bounds = stretch_bounds(len(values))
    means = np.add.reduceat(values, bounds[:-1]) / np.diff(bounds)
    return "".join(str(round(9 * float(mean))) for mean in means)


def shares_of(digits: str) -> Floats:
    """What `digits_of` wrote, 0..1."""
    return np.array([int(digit) for digit in digits], dtype=np.float64) / 9


def scaled_scores(scores: Floats) -> Floats:
    """[L] scores moved to 0..1 by their own extremes; equal scores are all 0."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)

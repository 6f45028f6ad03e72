"""Spread of a selection over queries, and what an exchanged query changes: worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vmrbench.score.selection import kept_histogram, kept_quantiles, same_clips


def test_ratios_fall_into_bins_of_a_twentieth() -> None:
    found = kept_histogram(np.array([0.0, 0.04, 0.15, 0.25, 1.0]))

    assert len(found) == 20
    assert (found[0], found[3], found[5], found[19]) == (0.4, 0.2, 0.2, 0.2)
    assert sum(found) == pytest.approx(1.0)


def test_quantiles_are_over_queries() -> None:
    assert kept_quantiles(np.arange(11) / 10) == pytest.approx({"p10": 0.1, "p50": 0.5, "p90": 0.9})


def test_clips_that_stay_are_counted_by_query() -> None:
    kept = [np.array([0, 1, 2, 3]), np.array([5, 6]), np.array([], dtype=int)]
    other = [np.array([3, 9]), np.array([5, 6]), np.array([1])]

    # One of four, two of two; the third query keeps nothing and does not count.
    assert same_clips(kept, other) == pytest.approx((0.25 + 1.0) / 2)


def test_without_a_kept_clip_there_is_no_share() -> None:
    assert same_clips([np.array([], dtype=int)], [np.array([1])]) is None

"""What a selection leaves possible: worked out by hand, and against a search over a grid of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.score.ceilings import best_iou_within_reach, split_failures
from vmrbench.score.moments import Floats, MomentTable, true_moments
from vmrbench.types import Annotation


def truth_of(*moments: tuple[float, float], duration: float = 20.0) -> MomentTable:
    return true_moments(
        [Annotation(sample_id="q", video_id="v", sentence="s", duration=duration, moments=tuple(moments))]
    )


def clips(*positions: int, seconds: float = 2.0) -> Floats:
    return np.array([[seconds * p, seconds * (p + 1)] for p in positions], dtype=np.float64).reshape(-1, 2)


def ceiling(kept: Floats, *moments: tuple[float, float]) -> float:
    return float(best_iou_within_reach([kept], truth_of(*moments))[0])


def test_ends_in_kept_clips_are_within_reach_whatever_is_between() -> None:
    # 5..13 starts in clip 2 (4..6) and ends in clip 6 (12..14); clips 3 to 5 are not kept.
    assert ceiling(clips(2, 6), (5.0, 13.0)) == 1.0


def test_an_end_that_was_trimmed_moves_to_the_nearest_kept_time() -> None:
    # Clips 2 and 3 hold 4..8; the moment 5..11 can be answered with 5..8 at best: 3 of 6 seconds.
    assert ceiling(clips(2, 3), (5.0, 11.0)) == pytest.approx(3 / 6)


def test_an_end_may_lie_better_outside_the_moment() -> None:
    # Kept 0..2 and 8..10, moment 3..9: 2..9 gives 6 / 7, 8..9 gives 1 / 6.
    assert ceiling(clips(0, 4), (3.0, 9.0)) == pytest.approx(6 / 7)


def test_clips_beside_the_moment_reach_nothing_of_it() -> None:
    assert ceiling(clips(7, 8), (2.0, 6.0)) == 0.0


def test_nothing_kept_reaches_nothing() -> None:
    assert ceiling(clips(), (2.0, 6.0)) == 0.0


def test_the_best_of_several_true_moments_counts() -> None:
    # 0..4 cannot be reached from clips 5 and 6 (10..14); 11..15 can with 11..14: 3 of 4 seconds.
    assert ceiling(clips(5, 6), (0.0, 4.0), (11.0, 15.0)) == pytest.approx(3 / 4)


def test_a_crop_inside_the_moment_gives_the_ratio_of_their_lengths() -> None:
    # The ceiling of a perfect crop is its length over that of the moment: 4 clips of 2 s in 16 s.
    assert ceiling(clips(3, 4, 5, 6), (2.0, 18.0)) == pytest.approx(8 / 16)


@given(
    kept=st.sets(st.integers(0, 9)),
    start=st.integers(0, 38),
    length=st.integers(1, 20),
)
def test_no_window_on_a_grid_does_better(kept: set[int], start: int, length: int) -> None:
    # Everything is a multiple of half a second, and so is the best window: the search over all of them is complete.
    first, last = start / 2, min((start + length) / 2, 20.0)
    held = clips(*sorted(kept))
    grid = np.arange(41) / 2
    inside = [t for t in grid if any(a <= t <= b for a, b in held)]

    best = max(
        (
            max(0.0, min(e, last) - max(s, first)) / (max(e, last) - min(s, first) if s < last and e > first else 1e9)
            for s in inside
            for e in inside
            if s < e
        ),
        default=0.0,
    )

    assert ceiling(held, (first, last)) == pytest.approx(best)


@given(kept=st.sets(st.integers(0, 9)), more=st.sets(st.integers(0, 9)), start=st.integers(0, 17))
def test_keeping_more_never_lowers_the_ceiling(kept: set[int], more: set[int], start: int) -> None:
    moment = (float(start), start + 3.0)

    assert ceiling(clips(*sorted(kept | more)), moment) >= ceiling(clips(*sorted(kept)), moment)


def test_selections_must_be_as_many_as_queries() -> None:
    with pytest.raises(ValueError, match="2 selections for 1 queries"):
        best_iou_within_reach([clips(1), clips(2)], truth_of((1.0, 2.0)))


def test_a_failure_belongs_to_the_trimmer_where_less_than_half_was_kept() -> None:
    hit = np.array([True, True, False, False, False])
    kept = np.array([1.0, 0.1, 0.49, 0.5, 0.0])

    found = split_failures(hit, kept)

    # Queries 2 and 4 were trimmed away, 3 was missed; 1, 2 and 4 kept less than half.
    assert (found.hit, found.trimmed_away, found.missed, found.short) == (0.4, 0.4, 0.2, 0.6)


def test_without_queries_nothing_is_split() -> None:
    with pytest.raises(ValueError, match="expected equally many"):
        split_failures(np.array([], dtype=bool), np.array([]))

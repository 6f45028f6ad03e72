"""Strips of sample queries: worked out by hand."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from vmrbench.score.strips import digits_of, sample_places, scaled_scores, shares_of, stretch_bounds
from vmrbench.types import Annotation


def query(name: str, video: str) -> Annotation:
    return Annotation(sample_id=name, video_id=video, sentence="s", duration=9.0, moments=((1.0, 2.0),))


def test_samples_are_of_different_videos_and_follow_from_their_ids_alone() -> None:
    queries = [query(f"q{i}", f"v{i // 2}") for i in range(20)]

    chosen = [queries[place] for place in sample_places(queries)]
    turned = [queries[::-1][place] for place in sample_places(queries[::-1])]

    assert chosen == turned
    assert len({found.video_id for found in chosen}) == len(chosen) == 6
    hashes = [sha256(found.sample_id.encode()).hexdigest() for found in chosen]
    assert hashes == sorted(hashes)
    assert min(sha256(q.sample_id.encode()).hexdigest() for q in queries) == hashes[0]


def test_there_are_no_more_samples_than_videos() -> None:
    assert len(sample_places([query("a", "v"), query("b", "v"), query("c", "w")])) == 2


def test_a_short_video_has_a_digit_a_clip() -> None:
    assert digits_of(np.array([0.0, 1.0, 1.0, 0.0])) == "0990"


def test_a_long_video_has_a_digit_a_stretch() -> None:
    kept = np.zeros(240)
    kept[:3] = 1

    digits = digits_of(kept)

    # Two clips a stretch: both, one of two (4.5 rounds to the even 4), none.
    assert len(digits) == 120
    assert digits[:4] == "9400"


def test_stretches_cover_every_clip_once() -> None:
    bounds = stretch_bounds(1000)

    assert (bounds[0], bounds[-1], len(bounds)) == (0, 1000, 121)
    assert set(np.diff(bounds)) == {8, 9}


def test_digits_are_read_back_as_shares() -> None:
    assert shares_of("0990").tolist() == [0.0, 1.0, 1.0, 0.0]


def test_scores_are_scaled_by_their_own_extremes() -> None:
    assert scaled_scores(np.array([-2.0, 0.0, 2.0])).tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert scaled_scores(np.array([3.0, 3.0])).tolist() == [0.0, 0.0]

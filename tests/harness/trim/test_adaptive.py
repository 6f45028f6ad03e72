"""An adaptive budget: how many clips a threshold gives each query, and which threshold meets a mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.errors import DataError
from vmrbench.testing.factories import make_batch
from vmrbench.trim.adaptive import allowance, calibrated_threshold, clips_kept, demand

# Few values, so that clips are often equal.
SCORES = st.lists(st.lists(st.integers(-4, 4), min_size=1, max_size=9), min_size=1, max_size=8)


def arrays(scores: list[list[int]]) -> list[Any]:
    return [np.array(found, dtype=np.float64) for found in scores]


def test_demand_is_in_standard_deviations_of_the_video_without_its_padding() -> None:
    scores = torch.tensor([[1.0, 3.0, 5.0, 99.0], [2.0, 2.0, 2.0, 6.0]])
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])

    found = demand(scores, mask)

    # Mean 3, spread sqrt(8 / 3); mean 3, spread sqrt(3).
    assert found[0, :3].tolist() == pytest.approx([-1.2247449, 0.0, 1.2247449])
    assert found[1].tolist() == pytest.approx([-0.5773503] * 3 + [1.7320508])


def test_a_budget_follows_the_scores_by_hand() -> None:
    batch = make_batch([4, 3, 1])
    scores = torch.tensor([[9.0, 0.0, 0.0, 9.0], [0.0, 0.0, 6.0, 0.0], [5.0, 0.0, 0.0, 0.0]])

    # Standardised: 1, -1, -1, 1; then -0.71, -0.71, 1.41; a single clip is 0 and always kept.
    budgets = {threshold: allowance(batch, scores, 0.5, threshold)[0].tolist() for threshold in (2.0, 0.9, -0.8, -2.0)}

    assert budgets == {2.0: [1, 1, 1], 0.9: [2, 1, 1], -0.8: [2, 3, 1], -2.0: [4, 3, 1]}


def test_without_a_threshold_the_budget_is_exact_and_known_on_the_host() -> None:
    batch = make_batch([9, 4])

    budget, most = allowance(batch, torch.randn(2, 9), 0.5, None)

    assert (budget.tolist(), most) == ([4, 2], 4)
    assert allowance(batch, torch.randn(2, 9), 0.5, 0.3)[1] is None


@given(scores=SCORES, scale=st.floats(0.1, 50), level=st.floats(-20, 20))
def test_neither_scale_nor_level_of_the_scores_matters(scores: list[list[int]], scale: float, level: float) -> None:
    plain = [torch.tensor([found], dtype=torch.float64) for found in scores]

    for row in plain:
        mask = torch.ones_like(row, dtype=torch.bool)
        assert demand(row * scale + level, mask).tolist()[0] == pytest.approx(demand(row, mask).tolist()[0], abs=1e-4)


def test_a_threshold_by_hand() -> None:
    # A clip is 1/4 of the first video, 1/2 of the second. The best clips take 3/4; a mean of 5/8 leaves 1/2: for the 2
    # and the 1 of the first, after which the 0 of the second would be too much.
    scores = arrays([[3, 2, 1, -4], [1, 0]])

    threshold = calibrated_threshold(scores, 5 / 8)

    assert threshold == 0.5
    assert [clips_kept(found, threshold) for found in scores] == [3, 1]


@given(scores=SCORES, percent=st.integers(1, 99))
def test_no_threshold_comes_nearer_to_the_share_from_below(scores: list[list[int]], percent: int) -> None:
    found, wanted = arrays(scores), percent / 100

    threshold = calibrated_threshold(found, wanted)

    def mean(at: float) -> float:
        return float(np.mean([max(1, sum(score >= at for score in one)) / len(one) for one in scores]))

    least = float(np.mean([1 / len(one) for one in scores]))
    # Every threshold does what one of these does.
    possible = [mean(at + 0.5) for at in range(-6, 6)]
    below = [share for share in possible if share <= wanted + 1e-6]
    assert mean(threshold) == pytest.approx(max(below, default=least))


@given(data=st.data(), percent=st.integers(10, 90))
def test_where_no_two_clips_are_equal_the_mean_is_met_to_within_a_clip(data: Any, percent: int) -> None:
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=20))
    random = np.random.default_rng(sum(lengths))
    scores = [random.normal(size=length) for length in lengths]
    exact = [max(1, length * percent // 100) for length in lengths]

    threshold = calibrated_threshold(scores, float(np.mean([k / n for k, n in zip(exact, lengths, strict=True)])))

    kept = [clips_kept(found, threshold) for found in scores]
    short = sum((k - found) / n for k, found, n in zip(exact, kept, lengths, strict=True))
    # Of the one clip that would come next, and that is too much.
    assert -1e-5 <= short < 1 / min(lengths) + 1e-5


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        calibrated_threshold([np.array([1.0, np.nan, 0.0])], 0.5)

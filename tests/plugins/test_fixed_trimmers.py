"""References and controls keep what they say they keep."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.fill import ConcatZero
from vmrbench.types import Batch, TrimDecision
from vmrbench_plugins.fixed_trimmers import (
    Centre,
    KeepAll,
    KeepNone,
    Oracle,
    Random,
    RandomOptions,
    RatioOptions,
    Uniform,
)


def decide(trimmer: torch.nn.Module, batch: Batch) -> TrimDecision:
    access = CountingAccess(batch, ConcatZero(16, 8), None, training=trimmer.training)
    return trimmer.select(withhold_clips(batch), access)


@pytest.mark.parametrize(("percent", "kept"), [(25, [5, 1, 1]), (50, [10, 3, 1]), (100, [20, 7, 1])])
@pytest.mark.parametrize(
    "build",
    [
        lambda ratio: Uniform(RatioOptions(keep_ratio=ratio)),
        lambda ratio: Centre(RatioOptions(keep_ratio=ratio)),
        lambda ratio: Random(RandomOptions(keep_ratio=ratio)).eval(),
        lambda ratio: Random(RandomOptions(keep_ratio=ratio)).train(),
        lambda ratio: Oracle(RatioOptions(keep_ratio=ratio)),
    ],
)
def test_budget_is_met_exactly(build, percent: int, kept: list[int]) -> None:
    batch = make_batch([20, 7, 1])

    decision = decide(build(percent / 100), batch)

    assert decision.keep.sum(1).tolist() == kept
    assert not (decision.keep & ~batch.clip_mask).any()


def test_all_keeps_every_clip_and_zero_none() -> None:
    batch = make_batch([4, 2])

    assert torch.equal(decide(KeepAll(), batch).keep, batch.clip_mask)
    assert not decide(KeepNone(), batch).keep.any()


@given(clips=st.integers(1, 200), percent=st.integers(1, 100))
def test_uniform_clips_are_at_equal_distances(clips: int, percent: int) -> None:
    keep = decide(Uniform(RatioOptions(keep_ratio=percent / 100)), make_batch([clips])).keep[0]

    places = keep.nonzero().flatten()
    gaps = places[1:] - places[:-1]
    assert len(places) == max(1, clips * percent // 100)
    assert len(gaps) == 0 or int(gaps.max() - gaps.min()) <= 1


@pytest.mark.parametrize(("clips", "kept"), [(10, [3, 4, 5, 6]), (11, [3, 4, 5, 6]), (5, [1, 2]), (1, [0])])
def test_centre_keeps_the_middle_in_one_piece_and_leans_to_the_earlier_side(clips: int, kept: list[int]) -> None:
    # 40 % of 10 and of 11 clips are 4, of 5 clips 2, and one is kept at least.
    keep = decide(Centre(RatioOptions(keep_ratio=0.4)), make_batch([clips])).keep[0]

    assert keep.nonzero().flatten().tolist() == kept


def test_random_draw_of_a_sample_does_not_depend_on_its_neighbours() -> None:
    trimmer = Random(RandomOptions(keep_ratio=0.5)).eval()
    together, alone = make_batch([20, 9]), make_batch([20])

    assert torch.equal(decide(trimmer, together).keep[0], decide(trimmer, alone).keep[0])


def test_random_draws_differ_between_samples_and_seeds() -> None:
    batch = make_batch([40, 40])
    first = decide(Random(RandomOptions(keep_ratio=0.5, seed=0)).eval(), batch).keep
    second = decide(Random(RandomOptions(keep_ratio=0.5, seed=1)).eval(), batch).keep

    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


def test_random_draws_are_spread_evenly_over_the_video() -> None:
    keep = decide(Random(RandomOptions(keep_ratio=0.25)).eval(), make_batch([40] * 400)).keep

    # 400 draws of 10 in 40: the mean of each place is 0.25 with a standard error of 0.022.
    assert (keep.float().mean(0) - 0.25).abs().max() < 0.09


def test_oracle_takes_the_moment_first_and_then_its_neighbours() -> None:
    batch = replace(make_batch([10], clip_seconds=1.0), moments=(torch.tensor([[4.0, 6.0]]),))

    keep = decide(Oracle(RatioOptions(keep_ratio=0.4)), batch).keep[0]

    assert keep.nonzero().flatten().tolist() == [3, 4, 5, 6]

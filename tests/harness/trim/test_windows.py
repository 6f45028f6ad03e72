"""Windows: where they are put, what they read, and that times and the budget survive them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.labels import moment_spans
from vmrbench.trim.windows import (
    Windows,
    best_windows,
    clip_of_finer,
    cut_windows,
    finer_of,
    merge_windows,
    training_windows,
    window_quotas,
)
from vmrbench.types import Batch, FinerClips


def with_finer(lengths: list[int], factor: int) -> Batch:
    """Clips of 2 s, each cut into `factor`; the features of a finer clip are its start in seconds."""
    batch = make_batch(lengths)
    rows = torch.arange(max(lengths) * factor)[None]
    mask = rows < torch.tensor(lengths)[:, None] * factor
    start = rows * (2.0 / factor) * mask
    end = (start + 2.0 / factor) * mask
    return replace(batch, finer=FinerClips(clips=start[..., None], mask=mask, clip_start=start, clip_end=end))


SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=3)


@settings(deadline=None)
@given(lengths=SIZES, factor=st.integers(1, 4), count=st.integers(1, 3), percent=st.integers(1, 100), data=st.data())
def test_times_and_budget_survive_every_plan(
    lengths: list[int], factor: int, count: int, percent: int, data: st.DataObject
) -> None:
    batch = with_finer(lengths, factor)
    budget = torch.tensor([max(1, n * percent // 100) for n in lengths])
    scores = torch.tensor([[data.draw(st.integers(0, 5)) for _ in range(max(lengths))] for _ in lengths]).float()

    windows = best_windows(scores, batch, window_quotas(budget, count))
    rows = cut_windows(batch, windows, -(-max(lengths) // count))

    read = windows.covers(max(lengths) * factor)
    assert int(read.max()) <= 1
    assert (read.sum(1) <= budget).all()
    assert (read.sum(1) >= 1).all()
    assert torch.equal(rows.clips[..., 0], rows.clip_start)
    picks = data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
    seconds = axis_to_seconds(torch.tensor(sorted(picks)) * rows.lengths[:, None, None], rows)
    for place, (first, size) in enumerate(zip(windows.first.flatten(), windows.count.flatten(), strict=True)):
        stride, length = 2.0 / factor, max(int(size), 1)
        expected = [(int(first) + pick * length) * stride for pick in sorted(picks)]
        assert seconds[place, 0].tolist() == pytest.approx(expected, abs=1e-3)


def test_the_budget_is_met_exactly_and_shared_evenly() -> None:
    assert window_quotas(torch.tensor([7, 2, 0]), 3).tolist() == [[3, 2, 2], [1, 1, 0], [0, 0, 0]]


def test_the_best_windows_are_those_with_the_highest_sums() -> None:
    batch = with_finer([6], 2)
    scores = torch.tensor([[0.0, 9.0, 9.0, 0.0, 5.0, 0.0]])

    windows = best_windows(scores, batch, torch.tensor([[4, 2]]))

    # Finer clips 2..5 are the two clips of score 9, finer clips 8 and 9 the one of score 5.
    assert windows.first.tolist() == [[2, 8]]
    assert windows.count.tolist() == [[4, 2]]
    assert windows.share[0, 0] == 1
    assert 0 < windows.share[0, 1] < 1


def test_windows_do_not_depend_on_the_scale_of_scores() -> None:
    batch, scores = with_finer([9, 5], 3), torch.randn(2, 9, generator=torch.Generator().manual_seed(0))

    first, second = (best_windows(s, batch, torch.tensor([[4, 3]] * 2)) for s in (scores, 100 * scores - 7))

    assert torch.equal(first.first, second.first)
    assert torch.allclose(first.share, second.share, atol=1e-5)


def test_a_window_without_room_is_not_placed_and_its_moments_are_none() -> None:
    batch = with_finer([3], 1)

    windows = best_windows(torch.tensor([[0.0, 9.0, 0.0]]), batch, torch.tensor([[1, 2]]))
    _, scores = merge_windows(torch.zeros(2, 1, 2), torch.tensor([[0.5], [0.9]]), windows, 1.0)
    rows = cut_windows(batch, windows, 2)

    assert windows.count.tolist() == [[1, 0]]
    assert scores.tolist() == [[0.5, -torch.inf]]
    assert rows.clip_mask.tolist() == [[True, False], [True, False]]
    assert rows.fine_weight.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert not rows.clips[1].any()


def test_scores_of_windows_lower_moments_of_worse_ones_whatever_their_sign() -> None:
    windows = Windows(first=torch.zeros(1, 2), count=torch.ones(1, 2), share=torch.tensor([[1.0, 0.5]]))
    seconds = torch.tensor([[[0.0, 1.0], [1.0, 2.0]], [[2.0, 3.0], [3.0, 4.0]]])

    merged, scores = merge_windows(seconds, torch.tensor([[0.8, -1.0], [0.8, -1.0]]), windows, 2.0)

    assert scores[0].tolist() == pytest.approx([0.8, -1.0, 0.2, -4.0])
    assert merged[0, 2].tolist() == [2.0, 3.0]


def test_a_row_of_a_window_has_the_index_of_the_clip_around_it() -> None:
    batch = with_finer([4], 2)
    assert batch.index is not None
    windows = Windows(first=torch.tensor([[3]]), count=torch.tensor([[3]]), share=torch.ones(1, 1))

    rows = cut_windows(batch, windows, 4)

    assert rows.index is not None
    assert torch.equal(rows.index[0, :3], batch.index[0, [1, 2, 2]])
    assert rows.clip_mask.tolist() == [[True, True, True, False]]
    assert not rows.index[0, 3].any()


def test_finer_clips_of_an_odd_last_clip_belong_to_it() -> None:
    batch = with_finer([2], 2)
    finer = replace(
        finer_of(batch), clip_start=torch.tensor([[0.0, 1, 2, 3]]), clip_end=torch.tensor([[1.0, 2, 3, 3.2]])
    )

    assert clip_of_finer(replace(batch, finer=finer)).tolist() == [[0, 0, 1, 1]]


def test_every_window_is_a_sample_of_its_own() -> None:
    batch = with_finer([4, 3], 1)
    windows = Windows(first=torch.zeros(2, 2).long(), count=torch.ones(2, 2).long(), share=torch.ones(2, 2))

    rows = cut_windows(batch, windows, 2)

    assert rows.sample_ids == ("q0", "q0", "q1", "q1")
    assert torch.equal(rows.query[2], batch.query[1])
    assert rows.duration.tolist() == [8.0, 8.0, 6.0, 6.0]
    assert rows.moments is not None
    assert len(rows.moments) == 4


@pytest.mark.parametrize(
    ("moment", "spans"), [([3.0, 6.0], [[0.5, 2.0]]), ([0.0, 4.5], [[0.0, 1.25]]), ([0.0, 3.9], [])]
)
def test_a_moment_counts_where_half_of_it_is_inside(moment: list[float], spans: list[list[float]]) -> None:
    """The window is 2..8 s, in rows of 2 s."""
    batch = replace(with_finer([5], 1), moments=(torch.tensor([moment]),))
    windows = Windows(first=torch.tensor([[1]]), count=torch.tensor([[3]]), share=torch.ones(1, 1))

    rows = cut_windows(batch, windows, 3)

    assert [found.tolist() for found in moment_spans(rows)] == [spans]


def test_training_windows_hold_the_moment_first_and_none_of_it_after() -> None:
    batch = replace(with_finer([10] * 20, 2), moments=tuple(torch.tensor([[6.0, 9.0]]) for _ in range(20)))
    torch.manual_seed(0)

    windows = training_windows(batch, torch.tensor([[5, 4, 4]] * 20))

    start = windows.first * 1.0
    end = start + windows.count
    assert (start[:, 0] <= 6).all()
    assert (end[:, 0] >= 9).all()
    assert ((end[:, 1:] <= 6) | (start[:, 1:] >= 9)).all()
    # Jitter: all places that hold the moment are used, not one.
    assert set(windows.first[:, 0].tolist()) == {4, 5, 6}


def test_a_training_window_lies_inside_a_moment_that_is_longer() -> None:
    batch = replace(with_finer([10], 1), moments=(torch.tensor([[4.0, 16.0]]),))

    windows = training_windows(batch, torch.tensor([[2]]))

    assert 2 <= int(windows.first) <= 6


def test_windows_are_cut_without_a_look_at_values() -> None:
    batch = with_finer([9, 4], 2).to("meta")

    windows = best_windows(torch.zeros(2, 9, device="meta"), batch, torch.zeros(2, 2, device="meta").long())
    rows = cut_windows(replace(batch, moments=None), windows, 3)

    assert rows.clips.shape == (4, 3, 1)

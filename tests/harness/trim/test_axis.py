"""The way between the clip axis and seconds."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.testing.factories import make_batch
from vmrbench.trim.axis import axis_to_seconds, clips_in_moments, seconds_to_axis
from vmrbench.types import Batch


def with_cut() -> Batch:
    """Four two-second rows: 2..6 s, then a cut, then 14..18 s."""
    start = torch.tensor([[2.0, 4.0, 14.0, 16.0]])
    return replace(make_batch([4]), clip_start=start, clip_end=start + 2, duration=torch.tensor([20.0]))


def test_at_a_cut_an_end_stays_left_and_a_start_goes_right() -> None:
    spans = torch.tensor([[[0.0, 2.0], [2.0, 4.0], [1.5, 3.0]]])

    seconds = axis_to_seconds(spans, with_cut())

    assert seconds.tolist() == [[[2.0, 6.0], [14.0, 18.0], [5.0, 16.0]]]


def test_positions_beyond_the_axis_are_clamped() -> None:
    seconds = axis_to_seconds(torch.tensor([[[-3.0, 9.0]]]), with_cut())

    assert seconds.tolist() == [[[2.0, 18.0]]]


def test_a_moment_inside_a_gap_is_no_object() -> None:
    batch = with_cut()

    spans = seconds_to_axis(torch.tensor([[7.0, 13.0]]), batch.clip_start[0], batch.clip_end[0], batch.clip_mask[0])

    assert spans.shape == (0, 2)


def test_a_moment_is_cut_to_the_kept_rows() -> None:
    batch = with_cut()

    spans = seconds_to_axis(torch.tensor([[5.0, 15.0]]), batch.clip_start[0], batch.clip_end[0], batch.clip_mask[0])

    assert spans.tolist() == [[1.5, 2.5]]


def test_share_of_a_clip_inside_two_moments_is_their_sum() -> None:
    batch = replace(make_batch([3]), moments=(torch.tensor([[0.0, 0.5], [1.5, 3.0]]),))

    assert clips_in_moments(batch).tolist() == [[0.5, 0.5, 0.0]]


@given(
    lengths=st.lists(st.floats(0.25, 8), min_size=1, max_size=12),
    gaps=st.lists(st.floats(0, 20), min_size=12, max_size=12),
    picks=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_moments_inside_kept_rows_survive_the_round_trip(
    lengths: list[float], gaps: list[float], picks: tuple[float, float]
) -> None:
    start, end, now = [], [], 0.0
    for length, gap in zip(lengths, gaps, strict=False):
        start.append(now + gap)
        now = now + gap + length
        end.append(now)
    starts, ends = torch.tensor([start], dtype=torch.float64), torch.tensor([end], dtype=torch.float64)
    batch = replace(make_batch([len(lengths)]), clip_start=starts, clip_end=ends)
    axis = torch.tensor([[sorted(p * len(lengths) for p in picks)]], dtype=torch.float64)
    seconds = axis_to_seconds(axis, batch)
    if float(seconds[0, 0, 1] - seconds[0, 0, 0]) < 1e-3:
        return

    spans = seconds_to_axis(seconds[0], starts[0], ends[0], batch.clip_mask[0])
    again = axis_to_seconds(spans[None], batch)

    assert torch.allclose(again, seconds, atol=1e-6)

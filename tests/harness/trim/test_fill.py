"""What the backbone reads where a clip was not kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.errors import DataError
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.fill import Adapter, ConcatZero, FineOnly, Hold, Zero, build_fill, nearest_kept

KEEP = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


def test_concat_zero_puts_zeros_beside_the_index() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = ConcatZero(4, 2)(batch, batch.clips, KEEP)

    assert rows.clips.shape == (2, 3, 6)
    assert rows.clips[0, 1].tolist() == [0.0, 0.0, 0.0, 0.0, *batch.index[0, 1].tolist()]
    assert torch.equal(rows.clips[0, 2, :4], batch.clips[0, 2])


def test_adapter_that_keeps_everything_changes_no_bit() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = Adapter(4, 2)(batch, batch.clips, batch.clip_mask.float())

    assert torch.equal(rows.clips, batch.clips)


@pytest.mark.parametrize("fill", [Zero(4), Hold(4)])
def test_fills_without_index_that_keep_everything_change_no_bit(fill: torch.nn.Module) -> None:
    batch = make_batch([3, 2], width=4, index_width=0)

    rows = fill(batch, batch.clips, batch.clip_mask.float())

    assert torch.equal(rows.clips, batch.clips)
    assert torch.equal(rows.fine_weight, batch.fine_weight)


def test_zero_leaves_nothing_where_a_clip_was_not_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = Zero(4)(batch, batch.clips, KEEP)

    assert torch.equal(rows.clips, batch.clips * KEEP[..., None])
    assert rows.index is None


@given(
    plans=st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=3),
    picks=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@pytest.mark.parametrize("policy", ["concat_zero", "adapter", "zero", "hold"])
def test_times_survive_every_plan(policy: str, plans: list[list[bool]], picks: tuple[float, float]) -> None:
    batch = make_batch([len(plan) for plan in plans], width=4, index_width=2, clip_seconds=2.0)
    keep = torch.zeros(batch.clip_mask.shape)
    for row, plan in enumerate(plans):
        keep[row, : len(plan)] = torch.tensor(plan)

    rows = build_fill(policy, 4, 2)(batch, batch.clips, keep)
    seconds = axis_to_seconds(torch.tensor(sorted(picks)) * rows.lengths[:, None, None], rows)

    assert torch.equal(rows.clip_mask, batch.clip_mask)
    for row, plan in enumerate(plans):
        expected = [pick * len(plan) * 2.0 for pick in sorted(picks)]
        assert seconds[row, 0].tolist() == pytest.approx(expected, abs=1e-3)


@given(kept=st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_nearest_kept_clip_is_the_nearest_and_of_two_the_earlier(kept: list[bool]) -> None:
    source, some = nearest_kept(torch.tensor([kept]))

    places = [place for place, value in enumerate(kept) if value]
    expected = [min(places, key=lambda p: (abs(p - here), p)) if places else 0 for here in range(len(kept))]
    assert source[0].tolist() == expected
    assert bool(some) == bool(places)


def test_hold_repeats_the_nearest_kept_clip_and_leaves_padding_and_unseen_videos_zero() -> None:
    batch = make_batch([4, 2, 3], width=2, index_width=0)
    keep = torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])

    rows = Hold(2)(batch, batch.clips, keep)

    held = batch.clips[0]
    assert torch.equal(rows.clips[0], torch.stack([held[1], held[1], held[1], held[3]]))
    assert torch.equal(rows.clips[1, :2], batch.clips[1, :1].expand(2, 2))
    assert not rows.clips[1, 2:].any()
    assert not rows.clips[2].any()
    assert rows.fine_weight.tolist() == keep.tolist()


def test_the_gradient_through_hold_is_what_a_clip_adds_over_what_stands_in() -> None:
    batch = make_batch([3], width=2, index_width=0)
    keep = torch.tensor([[1.0, 0.0, 0.0]]).requires_grad_()

    Hold(2)(batch, batch.clips, keep).clips.sum().backward()

    clips = batch.clips[0].sum(1)
    assert torch.allclose(keep.grad[0], clips - clips[0])


def test_adapter_starts_from_the_regression_of_fine_on_index() -> None:
    index = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    fine = index @ torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]]) + 0.5
    adapter = Adapter(3, 2)

    adapter.fit(index, fine, ridge=1e-9)

    assert torch.allclose(adapter.stand_in(index), fine, atol=1e-4)


def test_fine_weight_is_one_only_where_a_real_clip_was_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)

    rows = ConcatZero(4, 2)(batch, batch.clips, torch.ones(2, 3))

    assert rows.fine_weight.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]


def test_without_trimming_every_real_row_is_said_to_hold_expensive_features() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    access = CountingAccess(batch, FineOnly(4), None, training=False)

    rows = access.rows(batch.clip_mask.float())

    assert torch.equal(rows.clips, batch.clips)
    assert torch.equal(rows.fine_weight, batch.fine_weight)


def test_a_data_set_without_index_cannot_be_filled() -> None:
    with pytest.raises(DataError, match="index"):
        build_fill("concat_zero", 4, 0)


def test_every_clip_is_read_once_and_only_when_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=False)

    access.rows(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    rows = access.rows(KEEP)

    assert access.reads.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert torch.equal(rows.clips[..., :4], batch.clips * KEEP[..., None])


def test_single_clips_are_read_once_and_only_when_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=False)

    first = access.fetch_clip(0, torch.tensor([1.0, 0.0]))
    access.fetch_clip(2, torch.tensor([1.0, 1.0]))
    rows = access.rows(KEEP)

    assert torch.equal(first, torch.stack([batch.clips[0, 0], torch.zeros(4)]))
    assert access.reads.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert torch.equal(rows.clips[..., :4], batch.clips * KEEP[..., None])


def test_in_training_the_gradient_reaches_clips_that_were_not_kept() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    keep = KEEP.clone().requires_grad_()
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=True)

    access.rows(keep).clips.sum().backward()

    assert torch.allclose(keep.grad, batch.clips.sum(-1))

"""Removing rows: what is left keeps its order, its times and its labels, and nothing else is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vmrbench.errors import DataError
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess
from vmrbench.trim.axis import axis_to_seconds
from vmrbench.trim.budget import clip_budget, most_clips
from vmrbench.trim.fill import Adapter, ConcatZero
from vmrbench.trim.gather import TakenRows, kept_rows, take_rows, targets_on_timeline
from vmrbench.trim.labels import moment_spans
from vmrbench.types import Batch, DistillTargets, TrimDecision

PLANS = st.lists(st.lists(st.booleans(), min_size=1, max_size=9).filter(any), min_size=1, max_size=4)


def planned(plans: list[list[bool]]) -> tuple[Batch, TrimDecision]:
    """A batch with one sample a plan, and the decision to keep what its plan says."""
    batch = make_batch([len(plan) for plan in plans])
    keep = torch.zeros_like(batch.clip_mask)
    for row, plan in enumerate(plans):
        keep[row, : len(plan)] = torch.tensor(plan)
    return batch, TrimDecision(keep=keep)


@settings(deadline=None)
@given(plans=PLANS)
def test_kept_clips_keep_their_order_times_and_features(plans: list[list[bool]]) -> None:
    batch, decision = planned(plans)

    rows = take_rows(batch, kept_rows(decision, batch, training=False))

    for row, plan in enumerate(plans):
        kept = [place for place, stays in enumerate(plan) if stays]
        assert rows.clip_start[row].tolist() == [2.0 * p for p in kept] + [0.0] * (rows.clips.shape[1] - len(kept))
        assert rows.clip_mask[row].tolist() == [n < len(kept) for n in range(rows.clips.shape[1])]
        assert torch.equal(rows.clips[row, : len(kept)], batch.clips[row, kept])
        assert not rows.clips[row, len(kept) :].any()


@settings(deadline=None)
@given(plans=PLANS, picks=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_times_survive_every_plan(plans: list[list[bool]], picks: tuple[float, float]) -> None:
    batch, decision = planned(plans)
    rows = take_rows(batch, kept_rows(decision, batch, training=False))
    counts = rows.lengths[:, None, None]
    spans = torch.tensor(sorted(picks)) * counts

    seconds = axis_to_seconds(spans, rows)

    for row, plan in enumerate(plans):
        kept = [place for place, stays in enumerate(plan) if stays]
        start, end = spans[row, 0].tolist()
        # By hand: a start on a cut belongs to the clip on its right, an end to the clip on its left.
        first = min(int(start), len(kept) - 1)
        last = max(-int(-end // 1) - 1, 0)
        expected = [2.0 * (kept[first] + start - first), 2.0 * (kept[last] + end - last)]
        expected[1] = max(expected)
        assert seconds[row, 0].tolist() == pytest.approx(expected, abs=1e-4)


def test_a_moment_that_was_trimmed_away_is_no_object_and_one_cut_in_part_is_what_is_left() -> None:
    batch, decision = planned([[True, False, True, True], [True, False, False, True]])
    moments = torch.tensor([[2.0, 6.0]])
    batch = replace(batch, moments=(moments, moments))

    rows = take_rows(batch, kept_rows(decision, batch, training=False))

    assert [spans.tolist() for spans in moment_spans(rows)] == [[[1.0, 2.0]], []]


def test_the_number_of_rows_is_known_without_looking_at_what_is_kept() -> None:
    batch = make_batch([9, 4]).to("meta")
    decision = TrimDecision(keep=batch.clip_mask, most=most_clips(9, 0.5))

    rows = take_rows(batch, kept_rows(decision, batch, training=False))

    assert rows.clips.shape[1] == 4


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=5), percent=st.integers(0, 100))
def test_no_budget_of_a_batch_exceeds_the_largest(lengths: list[int], percent: int) -> None:
    budgets = clip_budget(torch.tensor(lengths), percent / 100)

    assert most_clips(max(lengths), percent / 100) == int(budgets.max())


@pytest.mark.parametrize("most", [None, 0])
def test_keeping_nothing_is_an_error(most: int | None) -> None:
    batch = make_batch([3, 2])
    nothing = TrimDecision(keep=torch.zeros_like(batch.clip_mask), most=most)

    with pytest.raises(DataError, match="sample 'q0': the trimmer kept none of 3 clips"):
        kept_rows(nothing, batch, training=False)


def test_in_training_a_draw_that_keeps_nothing_leaves_the_best_clip_without_expensive_features() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    keep = torch.tensor([[True, True, False], [False, False, False]])
    decision = TrimDecision(keep=keep, scores=torch.tensor([[0.0, 0, 0], [1.0, 2.0, 9.0]]))

    taken = kept_rows(decision, batch, training=True)
    rows = CountingAccess(batch, ConcatZero(4, 2), None, training=True).gathered(keep.float(), taken)

    assert rows.clip_start.tolist() == [[0.0, 2.0], [2.0, 0.0]]
    assert rows.fine_weight.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert rows.clips[1, 0].tolist() == [0.0] * 4 + batch.index[1, 1].tolist()


@pytest.mark.parametrize("fill", [ConcatZero(4, 2), Adapter(4, 2)])
@pytest.mark.parametrize("training", [False, True])
def test_gathering_everything_changes_no_bit(fill: torch.nn.Module, training: bool) -> None:
    batch = make_batch([5, 3], width=4, index_width=2)
    keep = batch.clip_mask.float()
    taken = kept_rows(TrimDecision(keep=batch.clip_mask, most=5), batch, training=training)

    gathered = CountingAccess(batch, fill, None, training=training).gathered(keep, taken)
    filled = CountingAccess(batch, fill, None, training=training).rows(keep)

    for name in ("clips", "clip_mask", "clip_start", "clip_end", "fine_weight"):
        assert torch.equal(getattr(gathered, name), getattr(filled, name)), name


def test_only_gathered_clips_are_read_and_each_once() -> None:
    batch = make_batch([3, 2], width=4, index_width=2)
    keep = torch.tensor([[True, False, True], [False, True, False]])
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=False)
    access.fetch(torch.tensor([[1.0, 0, 0], [0, 0, 0]]))

    access.gathered(keep.float(), kept_rows(TrimDecision(keep=keep), batch, training=False))

    assert access.reads.tolist() == keep.long().tolist()


def test_a_gradient_reaches_the_decision_on_gathered_clips() -> None:
    batch = make_batch([3], width=4, index_width=2)
    soft = torch.tensor([[1.0, 0.0, 1.0]], requires_grad=True)
    access = CountingAccess(batch, ConcatZero(4, 2), None, training=True)

    rows = access.gathered(soft, kept_rows(TrimDecision(keep=soft > 0), batch, training=True))
    rows.clips.sum().backward()

    assert soft.grad is not None
    of_clips = batch.clips[0].sum(-1)
    assert soft.grad[0].tolist() == pytest.approx([float(of_clips[0]), 0.0, float(of_clips[2])])


def test_targets_stand_on_the_timeline_and_removed_clips_teach_nothing() -> None:
    taken = TakenRows(places=torch.tensor([[1, 3]]), mask=torch.tensor([[True, False]]))
    student = DistillTargets(
        embedding=torch.tensor([[[5.0], [6.0]]], requires_grad=True), saliency=torch.tensor([[7.0, 8.0]])
    )
    teacher = DistillTargets(embedding=torch.arange(4.0).reshape(1, 4, 1), saliency=torch.arange(4.0)[None])

    spread = targets_on_timeline(student, teacher, taken)

    assert spread.saliency is not None
    assert spread.embedding is not None
    assert spread.saliency.tolist() == [[0.0, 7.0, 2.0, 3.0]]
    assert spread.embedding[..., 0].tolist() == [[0.0, 5.0, 2.0, 3.0]]


@pytest.mark.parametrize("matched", [False, True])
def test_candidates_are_taught_only_where_they_can_be_matched_in_seconds(matched: bool) -> None:
    spans = torch.zeros(1, 2, 2) if matched else None
    offered = DistillTargets(candidates=torch.zeros(1, 2), candidate_spans=spans)
    taken = TakenRows(places=torch.tensor([[0]]), mask=torch.tensor([[True]]))

    assert (targets_on_timeline(offered, offered, taken).candidates is not None) == matched


def test_grades_of_clips_go_with_them_and_pairs_of_places_are_left_out() -> None:
    batch, decision = planned([[True, False, True]])
    extra = {"saliency_all": torch.tensor([[1.0, 2.0, 3.0]]), "saliency_pos": torch.tensor([[2]])}

    rows = take_rows(replace(batch, extra=extra), kept_rows(decision, batch, training=False))

    assert {name: value.tolist() for name, value in rows.extra.items()} == {"saliency_all": [[1.0, 3.0]]}

"""Budgets are met exactly."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.trim.budget import clip_budget, step_quotas, top_clips


@given(clips=st.integers(1, 500), percent=st.integers(1, 100))
def test_budget_is_the_floor_of_the_share_and_at_least_one(clips: int, percent: int) -> None:
    budget = clip_budget(torch.tensor([clips]), percent / 100)

    assert budget.item() == max(1, clips * percent // 100)


def test_ratio_zero_keeps_nothing() -> None:
    assert clip_budget(torch.tensor([5, 9]), 0.0).tolist() == [0, 0]


@given(budget=st.integers(0, 300), steps=st.integers(1, 7))
def test_step_quotas_follow_the_design_and_sum_to_the_budget(budget: int, steps: int) -> None:
    quotas = step_quotas(torch.tensor([budget]), steps)[0].tolist()

    expected = [math.floor(n * budget / steps) - math.floor((n - 1) * budget / steps) for n in range(1, steps + 1)]
    assert quotas == expected
    assert sum(quotas) == budget


def test_ties_go_to_the_earlier_clip_and_padding_is_never_kept() -> None:
    scores = torch.tensor([[1.0, 1.0, 1.0, 9.0]])
    allowed = torch.tensor([[True, True, True, False]])

    assert top_clips(scores, allowed, torch.tensor([2])).tolist() == [[True, True, False, False]]


@given(
    clips=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1, max_size=12),
    quota=st.integers(0, 12),
)
def test_a_second_key_decides_between_equal_scores_and_the_earlier_clip_is_next(
    clips: list[tuple[int, int, bool]], quota: int
) -> None:
    scores, then, allowed = (torch.tensor([column]) for column in zip(*clips, strict=True))

    kept = top_clips(scores.float(), allowed, torch.tensor([quota]), then=then)

    order = sorted(
        (place for place, clip in enumerate(clips) if clip[2]), key=lambda p: (-clips[p][0], -clips[p][1], p)
    )
    assert kept[0].nonzero().flatten().tolist() == sorted(order[:quota])

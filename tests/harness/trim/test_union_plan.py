"""One set of clips for all queries of a video: worked out by hand, and what must hold for any scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.trim.union_plan import Rule, union_plan

RULES: tuple[Rule, ...] = ("mean", "max")


def top(scores: np.ndarray, count: int) -> np.ndarray:
    """[Q, L] the best clips of every query, ties to the earlier one."""
    keep = np.zeros(scores.shape, dtype=bool)
    for row, score in zip(keep, scores, strict=True):
        row[np.argsort(-score, kind="stable")[:count]] = True
    return keep


def kept(planned: np.ndarray) -> list[int]:
    return np.flatnonzero(planned).tolist()


SCORES = np.array([[9.0, 5.0, 8.0, 1.0], [1.0, 5.0, 4.0, 9.0]])


def test_the_mean_rule_keeps_what_queries_agree_on() -> None:
    # Ranks of four: query 1 has 1, .5, .75, .25; query 2 has .25, .75, .5, 1. Every mean is .625: earlier clips win.
    # With a third query like the first: means .75, .583, .667, .5.
    assert kept(union_plan(top(SCORES[[0, 1, 0]], 2), SCORES[[0, 1, 0]], "mean")) == [0, 2]
    assert kept(union_plan(top(SCORES, 2), SCORES, "mean")) == [0, 1]


def test_the_max_rule_lets_queries_take_turns() -> None:
    # First choices are clip 0 and clip 3, whatever the others think.
    assert kept(union_plan(top(SCORES, 2), SCORES, "max")) == [0, 3]
    assert kept(union_plan(top(SCORES[[0, 0, 1]], 2), SCORES[[0, 0, 1]], "max")) == [0, 3]


def test_scales_of_scores_do_not_matter() -> None:
    scaled = SCORES * np.array([[1000.0], [0.001]])

    for rule in RULES:
        assert kept(union_plan(top(scaled, 2), scaled, rule)) == kept(union_plan(top(SCORES, 2), SCORES, rule))


def test_the_budget_is_the_rounded_mean_of_the_queries() -> None:
    keeps = np.array([[True, False, False, False], [True, True, False, False]])

    # 1.5 clips on average.
    assert union_plan(keeps, SCORES, "mean").sum() == 2


def test_a_clip_that_was_kept_goes_before_one_that_was_not_whatever_its_last_score() -> None:
    # A selector that works in steps scores a clip it kept before as it likes.
    keeps = np.array([[False, True, False, True]])

    for rule in RULES:
        assert kept(union_plan(keeps, np.array([[9.0, 0.0, 8.0, 1.0]]), rule)) == [1, 3]


grids = st.integers(1, 4).flatmap(
    lambda q: st.integers(1, 7).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(st.integers(-3, 3), min_size=n, max_size=n), min_size=q, max_size=q),
            st.integers(0, n),
        )
    )
)


@given(grids, st.sampled_from(RULES))
def test_a_plan_meets_its_budget_and_does_not_depend_on_the_order_of_queries(
    drawn: tuple[list[list[int]], int], rule: Rule
) -> None:
    scores, budget = np.array(drawn[0], dtype=float), drawn[1]
    keeps = top(scores, budget)

    planned = union_plan(keeps, scores, rule)

    assert planned.sum() == budget
    assert kept(union_plan(keeps[::-1], scores[::-1], rule)) == kept(planned)


@given(grids, st.sampled_from(RULES))
def test_a_single_query_gets_its_own_clips(drawn: tuple[list[list[int]], int], rule: Rule) -> None:
    scores, budget = np.array(drawn[0][:1], dtype=float), drawn[1]
    keeps = top(scores, budget)

    assert kept(union_plan(keeps, scores, rule)) == kept(keeps[0])


@pytest.mark.parametrize("shape", [(0, 3), (1, 2)])
def test_shapes_must_agree(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be one"):
        union_plan(np.zeros(shape, dtype=bool), np.zeros((len(np.zeros(shape)), 3)), "mean")

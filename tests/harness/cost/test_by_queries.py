"""Cost by queries per video: two videos worked out by hand, and the union against a walk over all subsets."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.cost.by_queries import cost_by_queries, crossing, expected_union, independent_costs
from vmrbench.cost.stages import QueryUse, StageCost, UnitCosts, cost_stages

UNITS = UnitCosts(
    text=StageCost(value=1.0, basis="declared"),
    index=StageCost(value=2.0, basis="declared"),
    encode=StageCost(value=100.0, basis="declared"),
)


def use(video: str, keep: str, trim: float = 10.0, backbone: float = 1000.0) -> QueryUse:
    return QueryUse(video_id=video, keep=np.array([c == "1" for c in keep]), trim_macs=trim, backbone_macs=backbone)


@given(
    st.integers(1, 6).flatmap(
        lambda q: st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=q, max_size=q)
    )
)
def test_the_union_is_the_mean_over_all_subsets(rows: list[list[bool]]) -> None:
    keeps = np.array(rows)

    means = [
        np.mean([keeps[list(some)].any(0).sum() for some in combinations(range(len(rows)), m)])
        for m in range(1, len(rows) + 1)
    ]

    assert expected_union(keeps) == pytest.approx(means)


def test_the_union_of_many_queries_stays_within_its_bounds() -> None:
    keeps = np.random.default_rng(0).random((200, 50)) < 0.1

    union = expected_union(keeps)

    assert union[0] == pytest.approx(keeps.sum(1).mean())
    assert union[-1] == pytest.approx(keeps.any(0).sum())
    assert (np.diff(union) >= -1e-9).all()


def test_the_queries_of_a_video_share_index_and_clips() -> None:
    uses = [use("a", "1100"), use("a", "0110", trim=30.0), use("b", "10")]

    curve = cost_by_queries(uses, UNITS)

    # One query: a 1 + 2*4 + 20 + 100*2 + 1000 = 1229, b 1 + 2*2 + 10 + 100 + 1000 = 1115.
    # Two queries, video a alone: 1 + 2*4/2 + 20 + 100*3/2 + 1000 = 1175.
    assert curve.videos == (2, 1)
    assert curve.macs == pytest.approx(((1229 + 1115) / 2, 1175.0))
    assert curve.index_macs == pytest.approx(((8 + 4) / 2, 4.0))


def test_finer_clips_are_shared_like_clips() -> None:
    def cut(finer: str) -> QueryUse:
        return replace(use("a", "10"), finer=np.array([c == "1" for c in finer]))

    curve = cost_by_queries([cut("1100"), cut("0110")], UNITS)

    # One query: 1 + 2*2 + 10 + 100*3 + 1000. Two: four rows in all, 1 + 2*2/2 + 10 + 100*4/2 + 1000.
    assert curve.macs == pytest.approx((1315.0, 1213.0))


def test_all_queries_of_a_video_cost_what_the_amortised_stages_say() -> None:
    uses = [use("a", "1100"), use("a", "0110"), use("a", "1001"), use("b", "11"), use("b", "10"), use("b", "01")]

    whole = cost_stages(uses, UNITS).amortised_total.value

    assert cost_by_queries(uses, UNITS).macs[-1] == pytest.approx(whole)


def test_an_unknown_encoder_leaves_no_curve_and_a_reason() -> None:
    units = UnitCosts(text=UNITS.text, index=UNITS.index, encode=StageCost(value=None, basis="unknown", reason="no x"))

    curve = cost_by_queries([use("a", "10")], units)

    assert (curve.macs, curve.reason, curve.videos) == ((), "encode: no x", (1,))


def test_trimming_crosses_where_it_first_costs_no_less() -> None:
    assert crossing([5.0, 4.0, 3.0], [9.0, 4.5, 3.0]) == 3
    assert crossing([5.0, 4.0], [9.0, 4.5, 3.0]) is None
    assert crossing([9.0], [9.0]) == 1


def test_independent_queries_follow_the_formula() -> None:
    cold = {"text": 1.0, "index": 8.0, "trim": 20.0, "encode": 100.0, "backbone": 1000.0}

    costs = independent_costs(cold, 0.25, np.array([1, 2]))

    # 100 for a quarter is 400 for all; two queries keep 1 - 0.75^2 = 0.4375 of them: 175 between them.
    assert costs.tolist() == pytest.approx([1129.0, 1021 + 4 + 175 / 2])


def test_independent_queries_that_keep_nothing_encode_nothing() -> None:
    cold = {"index": 8.0, "encode": 0.0, "backbone": 10.0}

    assert independent_costs(cold, 0.0, np.array([1, 4])).tolist() == [18.0, 12.0]


def test_all_clips_are_encoded_once_whatever_the_queries() -> None:
    cold = {"encode": 400.0, "backbone": 10.0}

    assert independent_costs(cold, 1.0, np.array([1, 4])).tolist() == [410.0, 110.0]

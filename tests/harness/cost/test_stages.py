"""Cold and amortised cost, worked out by hand on three queries of two videos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmrbench.cost.stages import STAGES, QueryUse, StageCost, UnitCosts, cost_stages, unit_costs
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.specs import EncoderSpec

UNITS = UnitCosts(
    text=StageCost(value=5.0, basis="declared"),
    index=StageCost(value=1.0, basis="declared"),
    encode=StageCost(value=100.0, basis="declared"),
)


def use(video: str, keep: list[int], trim: float = 10.0, backbone: float = 20.0) -> QueryUse:
    return QueryUse(video_id=video, keep=np.array(keep, dtype=bool), trim_macs=trim, backbone_macs=backbone)


# Video a: two queries keep clips {0, 1} and {1}; video b: one query keeps both of two clips.
USES = [use("a", [1, 1, 0, 0]), use("a", [0, 1, 0, 0], trim=30.0), use("b", [1, 1], backbone=50.0)]


def spec(name: str, macs: float) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        summary="",
        role="clip",
        dim=1,
        clip_seconds=1.0,
        macs_per_clip=macs,
        basis="declared",
        source="",
    )


def facts(*, clip_encoder: str = "big", passes: float = 1.0) -> DatasetFacts:
    return DatasetFacts(
        clip_seconds=1.0,
        clips=FeatureFacts(encoder=clip_encoder, width=4, passes_per_clip=passes),
        text=FeatureFacts(encoder="words", width=4),
        index={"look": FeatureFacts(encoder="small", width=2), "move": FeatureFacts(encoder="tiny", width=2)},
        fingerprint="",
    )


ENCODERS = {
    "big": spec("big", 100.0),
    "small": spec("small", 3.0),
    "tiny": spec("tiny", 4.0),
    "words": spec("words", 0),
}


def test_cold_cost_of_each_query_is_the_sum_of_its_stages() -> None:
    report = cost_stages(USES, UNITS)

    # text 5 + L + trim + 100 K + backbone
    assert report.cold_per_query is not None
    assert report.cold_per_query.tolist() == [5 + 4 + 10 + 200 + 20, 5 + 4 + 30 + 100 + 20, 5 + 2 + 10 + 200 + 50]


def test_finer_rows_cost_a_pass_each_and_queries_of_a_video_share_them() -> None:
    rows = ([1, 1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0, 0])
    uses = [replace(use("a", [0, 0, 0, 1]), finer=np.array(finer, dtype=bool)) for finer in rows]

    report = cost_stages(uses, UNITS)

    # 4 index clips; one clip that both queries read, and finer rows {0, 1} and {1, 2}
    assert report.cold["encode"].value == 300
    assert report.cold["index"].value == 4
    assert report.amortised["encode"].value == 400 / 2
    assert report.kept_clips == 3
    assert report.union_ratio == 4 / 4


def test_amortised_cost_shares_index_and_encoded_clips_among_the_queries_of_a_video() -> None:
    report = cost_stages(USES, UNITS)

    # video a: 4 index clips and a union of 2 clips, over 2 queries
    assert report.amortised_per_query is not None
    assert report.amortised_per_query.tolist() == [5 + 2 + 10 + 100 + 20, 5 + 2 + 30 + 100 + 20, 5 + 2 + 10 + 200 + 50]


def test_stages_are_means_over_queries() -> None:
    report = cost_stages(USES, UNITS)

    assert {name: stage.value for name, stage in report.cold.items()} == {
        "text": 5.0,
        "decode": None,
        "index": pytest.approx(10 / 3),
        "trim": pytest.approx(50 / 3),
        "encode": pytest.approx(500 / 3),
        "backbone": 30.0,
        "post": None,
    }


def test_the_total_is_the_mean_of_the_queries() -> None:
    report = cost_stages(USES, UNITS)

    assert report.cold_total.value == pytest.approx((239 + 159 + 267) / 3)
    assert report.amortised_total.value == pytest.approx((137 + 157 + 267) / 3)


def test_decoding_and_post_processing_say_why_they_have_no_multiply_adds() -> None:
    report = cost_stages(USES, UNITS)

    assert report.cold["decode"].reason
    assert report.cold["post"].reason


def test_stages_come_in_the_order_of_the_pipeline() -> None:
    assert tuple(cost_stages(USES, UNITS).amortised) == STAGES


def test_the_union_ratio_counts_every_video_once() -> None:
    assert cost_stages(USES, UNITS).union_ratio == (2 + 2) / (4 + 2)


def test_kept_clips_are_a_mean_over_queries() -> None:
    assert cost_stages(USES, UNITS).kept_clips == pytest.approx((2 + 1 + 2) / 3)


def test_keeping_nothing_costs_no_encoding() -> None:
    assert cost_stages([use("a", [0, 0, 0])], UNITS).cold["encode"].value == 0.0


def test_query_aware_trimming_can_cost_more_than_keeping_all_when_a_video_has_many_queries() -> None:
    trimmed = [use("a", np.eye(4, dtype=int)[i % 4].tolist()) for i in range(8)]
    untrimmed = [use("a", [1, 1, 1, 1], trim=0.0) for _ in range(8)]
    no_index = UnitCosts(text=UNITS.text, index=StageCost(value=0.0, basis="counted"), encode=UNITS.encode)

    cold = cost_stages(trimmed, UNITS).cold_total.value, cost_stages(untrimmed, no_index).cold_total.value
    shared = cost_stages(trimmed, UNITS).amortised_total.value, cost_stages(untrimmed, no_index).amortised_total.value

    assert cold == (5 + 4 + 10 + 100 + 20, 5 + 400 + 20)
    assert shared == (5 + 0.5 + 10 + 50 + 20, 5 + 50 + 20)


def test_two_lengths_for_one_video_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' has 2 clips for one query and 3 for another"):
        cost_stages([use("a", [1, 0]), use("a", [1, 0, 0])], UNITS)


def test_no_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="no queries"):
        cost_stages([], UNITS)


def test_the_index_costs_the_sum_of_its_groups() -> None:
    assert unit_costs(facts(), ENCODERS, reads_index=True).index.value == 7.0


def test_an_arm_that_reads_no_index_is_not_charged_for_it() -> None:
    index = unit_costs(facts(), ENCODERS, reads_index=False).index

    assert (index.value, index.reason) == (0.0, "this arm reads no index features")


def test_several_passes_a_clip_are_charged() -> None:
    assert unit_costs(facts(passes=2.5), ENCODERS, reads_index=True).encode.value == 250.0


def test_an_unknown_encoder_makes_its_stage_and_the_totals_unknown() -> None:
    units = unit_costs(facts(clip_encoder="huge"), ENCODERS, reads_index=True)

    report = cost_stages(USES, units)

    assert (report.cold["encode"].value, report.cold_per_query) == (None, None)
    assert report.cold_total == StageCost(value=None, basis="unknown", reason="encode: no encoder is named 'huge'")


def test_a_total_says_which_stages_are_declared() -> None:
    total = cost_stages(USES, UNITS).cold_total

    assert (total.basis, total.reason) == ("declared", "declared, not counted: text, index, encode")


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.booleans(), min_size=5, max_size=5)), min_size=1, max_size=12
    )
)
def test_amortised_total_equals_charging_each_video_once(drawn: list[tuple[str, list[bool]]]) -> None:
    uses = [use(video, keep) for video, keep in drawn]  # type: ignore[arg-type]  # booleans are 0 and 1
    expected = 0.0
    for video in {video for video, _ in drawn}:
        keeps = [keep for name, keep in drawn if name == video]
        union = sum(any(keep[clip] for keep in keeps) for clip in range(5))
        expected += 5 * 1.0 + union * 100.0 + len(keeps) * (5.0 + 10.0 + 20.0)

    assert cost_stages(uses, UNITS).amortised_total.value == pytest.approx(expected / len(uses))


def test_features_of_two_encoders_side_by_side_cost_their_sum() -> None:
    assert unit_costs(facts(clip_encoder="big+tiny", passes=2.0), ENCODERS, reads_index=True).encode.value == 208.0


def test_one_unknown_encoder_of_two_makes_the_stage_unknown() -> None:
    encode = unit_costs(facts(clip_encoder="big+huge"), ENCODERS, reads_index=True).encode

    assert (encode.value, encode.reason) == (None, "no encoder is named 'huge'")

"""Tests of what a query is charged, on three queries of two videos worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from vmrbench.cost.stages import StageReport
from vmrbench.engine.charging import charge
from vmrbench.protocols import DatasetFacts, FeatureFacts
from vmrbench.specs import EncoderSpec

MACS = {"big": 100.0, "wide": 50.0, "small": 2.0, "words": 7.0}
QUERIES = pd.DataFrame(
    {
        "video_id": ["a", "a", "b"],
        "clips": [4, 4, 6],
        "query_tokens": [3, 5, 3],
        "kept": [np.array([0, 2]), np.array([2]), np.array([], dtype=np.int32)],
    }
)
COUNTED = {
    "shapes": [
        {"clips": 4, "tokens": 3, "trim": 10, "backbone": 1000},
        {"clips": 4, "tokens": 5, "trim": 20, "backbone": 2000},
        {"clips": 7, "tokens": 3, "trim": 40, "backbone": 4000},
    ]
}


def charged(
    fill: str | None = "concat_zero",
    clip_encoder: str = "big",
    *,
    needs_index: bool = False,
    groups: tuple[str, ...] | None = None,
    reads_features: bool = True,
) -> StageReport:
    facts = DatasetFacts(
        clip_seconds=2.0,
        clips=FeatureFacts(encoder=clip_encoder, width=4),
        text=FeatureFacts(encoder="words", width=4),
        index={
            "Motion": FeatureFacts(encoder="small", width=2, passes_per_clip=0.5),
            "Appearance": FeatureFacts(encoder="small", width=2, passes_per_clip=1.0),
        },
        fingerprint="",
    )
    cell = SimpleNamespace(
        dataset=SimpleNamespace(built=SimpleNamespace(facts=facts)),
        backbone=SimpleNamespace(offer=SimpleNamespace(spec=SimpleNamespace(reads_features=reads_features))),
        trimmer=SimpleNamespace(
            offer=SimpleNamespace(spec=SimpleNamespace(needs_index=needs_index)),
            options=SimpleNamespace(index_groups=groups),
            fill=fill,
        ),
    )
    encoders = {
        name: SimpleNamespace(
            spec=EncoderSpec(
                name=name,
                summary="",
                role="clip",
                dim=4,
                clip_seconds=2.0,
                macs_per_clip=macs,
                basis="declared",
                source="",
            )
        )
        for name, macs in MACS.items()
    }
    return charge(cell, SimpleNamespace(encoders=encoders), QUERIES, COUNTED)  # type: ignore[arg-type]  # what it reads


def test_every_query_pays_its_text_index_selection_kept_clips_and_backbone() -> None:
    report = charged()

    # text 7 + 3 a clip of index + trim + 100 a kept clip + backbone; the third video's nearest shape has 7 clips.
    assert report.cold_per_query is not None
    assert report.cold_per_query.tolist() == [
        7 + 3 * 4 + 10 + 200 + 1000,
        7 + 3 * 4 + 20 + 100 + 2000,
        7 + 3 * 6 + 40 + 0 + 4000,
    ]


def test_queries_of_a_video_share_its_index_and_the_union_of_their_clips() -> None:
    report = charged()

    assert report.amortised_per_query is not None
    assert report.amortised_per_query.tolist() == [
        7 + 3 * 2 + 10 + 100 + 1000,
        7 + 3 * 2 + 20 + 100 + 2000,
        7 + 3 * 6 + 40 + 0 + 4000,
    ]
    assert report.union_ratio == 2 / (4 + 6)


def test_an_arm_without_index_pays_for_none() -> None:
    assert charged(None).cold["index"].value == 0.0


@pytest.mark.parametrize(
    ("fill", "needs_index", "groups", "macs_a_clip"),
    [
        ("concat_zero", False, None, 3.0),
        ("adapter", False, None, 3.0),
        ("hold", False, None, 0.0),
        ("zero", False, None, 0.0),
        ("hold", True, None, 3.0),
        ("concat_zero", True, ("Motion",), 1.0),
    ],
)
def test_the_index_is_charged_where_fill_or_selection_reads_it_and_for_the_groups_read(
    fill: str, needs_index: bool, groups: tuple[str, ...] | None, macs_a_clip: float
) -> None:
    report = charged(fill, needs_index=needs_index, groups=groups)

    assert report.cold["index"].value == pytest.approx(macs_a_clip * (4 + 4 + 6) / 3)


def test_clips_of_two_encoders_cost_their_sum() -> None:
    assert charged("concat_zero", "big+wide").cold["encode"].value == pytest.approx(150.0 * (2 + 1 + 0) / 3)


def test_an_arm_that_is_shown_no_features_pays_for_none_even_of_an_unknown_encoder() -> None:
    report = charged(clip_encoder="nobody", needs_index=True, reads_features=False)

    for stage in ("text", "index", "encode"):
        assert (report.cold[stage].value, report.cold[stage].basis) == (0.0, "counted")
    # Selection and backbone of the three queries.
    assert report.cold_per_query is not None
    assert report.cold_per_query.tolist() == [10 + 1000, 20 + 2000, 40 + 4000]
    assert report.cold_total.basis == "counted"

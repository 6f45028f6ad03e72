"""Every first-party backbone and trimmer keeps to what plug-ins must keep to."""

from __future__ import annotations

import pytest

from vmrbench.catalog import load_catalog, make_options
from vmrbench.cost.cross_check import cross_check
from vmrbench.cost.macs import count_macs
from vmrbench.specs import BackboneSpec, Dims, TrimDims, TrimmerSpec
from vmrbench.testing.conformance import check_backbone, check_trimmer
from vmrbench.testing.factories import make_batch

CATALOG = load_catalog()
BACKBONES = [pytest.param(offer.spec, id=name) for name, offer in CATALOG.backbones.items()]
# A query-blind backbone is nobody's model: it has no presets, and no multiply-adds that two counters could agree on.
MODELS = [parameter for parameter in BACKBONES if parameter.values[0].reads_features]
TRIMMERS = [pytest.param(offer.spec, id=name) for name, offer in CATALOG.trimmers.items()]


@pytest.mark.parametrize("spec", BACKBONES)
def test_backbone_conforms(spec: BackboneSpec) -> None:
    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small" if spec.presets else None, {}, spec.name))


@pytest.mark.parametrize("spec", MODELS)
def test_every_backbone_has_published_presets(spec: BackboneSpec) -> None:
    assert any(name.startswith("published_") for name in spec.presets)


@pytest.mark.parametrize("spec", BACKBONES)
def test_every_preset_of_a_backbone_makes_options(spec: BackboneSpec) -> None:
    for preset in spec.presets:
        assert isinstance(make_options(spec, preset, {}, preset), spec.options)


@pytest.mark.parametrize("spec", MODELS)
def test_both_counters_of_multiply_adds_agree(spec: BackboneSpec) -> None:
    model = spec.build(make_options(spec, "small", {}, spec.name), Dims(video=16, text=12)).eval()

    assert cross_check(model, make_batch([9])).ratio == pytest.approx(1, rel=0.01)


def test_query_blind_backbones_have_no_multiply_adds_to_count() -> None:
    blind = [parameter.values[0] for parameter in BACKBONES if parameter not in MODELS]

    counted = {
        spec.name: count_macs(spec.build(spec.options(), Dims(video=16, text=12)).eval(), make_batch([9])).value
        for spec in blind
    }

    assert counted == {"constant_window": 0, "prior_sampler": 0, "whole_video": 0}


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [{"bidirectional": True, "lstm_layers": 2}, {"proposals": "conv"}])
def test_variants_of_2d_tan_conform(overrides: dict[str, object]) -> None:
    spec = CATALOG.backbones["2d_tan"].spec

    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", overrides, "2d_tan"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bam_detr", "cg_detr", "eatr", "moment_detr", "qd_detr", "tr_detr", "uvcom"])
def test_variants_of_moment_detr_and_its_relatives_conform(name: str) -> None:
    """Two options at once: one is read where clips come in, the other where words do."""
    spec = CATALOG.backbones[name].spec

    options = make_options(spec, "small", {"tef": False, "text_position": True}, name)

    check_backbone(spec, Dims(video=16, text=12), options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        {"stem": 1, "modulation": "adaln", "places": 4, "window": 3},
        {"text_encoder": "pooled", "suppression": {"mode": "hard"}},
        {"suppression": {"mode": "none"}},
    ],
)
def test_variants_of_snag_conform(overrides: dict[str, object]) -> None:
    spec = CATALOG.backbones["snag"].spec

    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", overrides, "snag"))


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [{"tef": False, "text_position": True}, {"anchor": 1.0}])
def test_variants_of_univtg_conform(overrides: dict[str, object]) -> None:
    spec = CATALOG.backbones["univtg"].spec

    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", overrides, "univtg"))


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [{"predictor": "transformer"}, {"vocabulary": 5}, {"top_k": 1}])
def test_variants_of_vslnet_conform(overrides: dict[str, object]) -> None:
    spec = CATALOG.backbones["vslnet"].spec

    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", overrides, "vslnet"))


@pytest.mark.parametrize("embedding", [10, None])
@pytest.mark.parametrize("spec", TRIMMERS)
def test_trimmer_conforms(spec: TrimmerSpec, embedding: int | None) -> None:
    # A cosine needs an index in the space of the query.
    index = 12 if spec.name == "cosine_topk" else 6
    check_trimmer(spec, TrimDims(index=index, text=12, rows=index + 9, embedding=embedding))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("cosine_topk", {"score": "ridge"}),
        ("cone_windows", {"score": "learned", "window_clips": 4}),
        ("cone_windows", {"score": "learned", "share_encoder": True}),
        ("decafnet_block", {"group_clips": 3}),
        ("lite_eval", {"selection": "threshold", "coarse_width": 5, "fine_width": 9}),
        ("ocsampler", {"selection": "stochastic"}),
        ("spotvmr", {"ridge_start": True}),
        ("supervised_topk", {"share_encoder": True}),
        ("supervised_topk", {"ridge_start": False}),
        ("two_stage", {"share_encoder": True}),
    ],
)
def test_variants_of_trimmers_conform(name: str, overrides: dict[str, object]) -> None:
    spec = CATALOG.trimmers[name].spec

    check_trimmer(spec, TrimDims(index=6, text=12, rows=15, embedding=10), make_options(spec, None, overrides, name))


@pytest.mark.parametrize("spec", TRIMMERS)
def test_every_preset_of_a_trimmer_makes_options(spec: TrimmerSpec) -> None:
    for preset in spec.presets:
        assert isinstance(make_options(spec, preset, {}, preset), spec.options)

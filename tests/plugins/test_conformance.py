"""Every first-party backbone and trimmer keeps to what plug-ins must keep to."""

from __future__ import annotations

import pytest

from vmrbench.catalog import load_catalog, make_options
from vmrbench.specs import BackboneSpec, Dims, TrimDims, TrimmerSpec
from vmrbench.testing.conformance import check_backbone, check_trimmer

CATALOG = load_catalog()
BACKBONES = [pytest.param(offer.spec, id=name) for name, offer in CATALOG.backbones.items()]
TRIMMERS = [pytest.param(offer.spec, id=name) for name, offer in CATALOG.trimmers.items()]


@pytest.mark.parametrize("spec", BACKBONES)
def test_backbone_conforms(spec: BackboneSpec) -> None:
    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", {}, spec.name))


@pytest.mark.parametrize("spec", BACKBONES)
def test_every_backbone_has_published_presets(spec: BackboneSpec) -> None:
    assert any(name.startswith("published_") for name in spec.presets)


@pytest.mark.parametrize("spec", BACKBONES)
def test_every_preset_of_a_backbone_makes_options(spec: BackboneSpec) -> None:
    for preset in spec.presets:
        assert isinstance(make_options(spec, preset, {}, preset), spec.options)


@pytest.mark.parametrize("overrides", [{"bidirectional": True, "lstm_layers": 2}, {"proposals": "conv"}])
def test_variants_of_2d_tan_conform(overrides: dict[str, object]) -> None:
    spec = CATALOG.backbones["2d_tan"].spec

    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", overrides, "2d_tan"))


@pytest.mark.parametrize("name", ["moment_detr", "qd_detr", "uvcom"])
@pytest.mark.parametrize("overrides", [{"tef": False}, {"text_position": True}])
def test_variants_of_moment_detr_and_its_relatives_conform(name: str, overrides: dict[str, object]) -> None:
    spec = CATALOG.backbones[name].spec

    check_backbone(spec, Dims(video=16, text=12), make_options(spec, "small", overrides, name))


@pytest.mark.parametrize("embedding", [10, None])
@pytest.mark.parametrize("spec", TRIMMERS)
def test_trimmer_conforms(spec: TrimmerSpec, embedding: int | None) -> None:
    check_trimmer(spec, TrimDims(index=6, text=12, rows=15, embedding=embedding))

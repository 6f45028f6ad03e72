from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vmrbench.parts.anchor_decoder import refining_head
from vmrbench.parts.boundary_decoder import BoundaryDecoder, BoundaryFeatures, BoundarySlots, anchor_ends

ANCHORS = torch.tensor([[[0.5, 0.2, 0.1], [0.3, 0.3, 0.4]]])
MASK = torch.tensor([[True, True, True, False]])


def test_a_moment_reaches_from_before_its_point_to_after_it() -> None:
    assert anchor_ends(torch.tensor([0.5, 0.25, 0.75])).tolist() == [0.25, 1.25]


def test_heads_that_move_nothing_leave_the_anchors() -> None:
    torch.testing.assert_close(_decode().anchors, ANCHORS.expand(2, -1, -1, -1))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_each_head_moves_one_number_of_the_anchors_in_every_layer(part: int) -> None:
    anchors = _decode(moved=part).anchors

    step = torch.zeros(3).index_fill(0, torch.tensor(part), 0.5)
    torch.testing.assert_close(anchors.logit(), torch.stack([ANCHORS.logit() + step, ANCHORS.logit() + 2 * step]))


def test_padded_clips_have_no_influence() -> None:
    clips = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))

    before, after = (_decode(clips=rows) for rows in (clips, torch.where(MASK[..., None], clips, 100.0)))

    torch.testing.assert_close(before.hidden, after.hidden)
    torch.testing.assert_close(before.boundaries[:, :3], after.boundaries[:, :3])


def test_the_official_decoder_reads_padded_clips() -> None:
    clips = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    changed = torch.where(MASK[..., None], clips, 100.0)

    before, after = (_decode(clips=rows, official_padding=True) for rows in (clips, changed))

    assert not torch.allclose(before.hidden, after.hidden)


def test_features_of_boundaries_are_not_negative() -> None:
    assert BoundaryFeatures(8)(torch.randn(2, 5, 8), None).min() >= 0


def _decode(clips: Tensor | None = None, moved: int | None = None, *, official_padding: bool = False) -> BoundarySlots:
    """Two layers; the head of one number adds a half to its logit."""
    torch.manual_seed(1)
    decoder = BoundaryDecoder(2, 8, 2, 16, 0.0, official_padding=official_padding)
    heads = [nn.ModuleList(refining_head(8, 1) for _ in range(3)) for _ in range(2)]
    for layer in heads if moved is not None else []:
        nn.init.constant_(layer[moved or 0].layers[-1].bias, 0.5)
    rows = torch.ones(1, 4, 8) if clips is None else clips
    slots = torch.zeros(1, 2, 3, 8)
    return decoder(slots, ANCHORS, nn.ModuleList(heads), rows, rows, torch.zeros_like(rows), MASK)

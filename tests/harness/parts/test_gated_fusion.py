"""Slots that take up a sentence as far as it fits them."""

from __future__ import annotations

import torch

from vmrbench.parts.gated_fusion import GatedFusion


@torch.no_grad()
def test_one_slot_takes_up_the_sentence_through_its_gate() -> None:
    """With one slot and one sentence, attention has no choice: what is read is the projected value."""
    torch.manual_seed(0)
    module, slot, sentence = GatedFusion(4).eval(), torch.randn(1, 1, 4), torch.randn(1, 4)

    fused = module(slot, sentence)

    def value_of(attention: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return attention.out_proj(rows @ attention.in_proj_weight[8:].T + attention.in_proj_bias[8:])

    read = value_of(module.cross_attention, sentence)
    mixed = value_of(module.self_attention, slot[0] + read)
    gated = torch.relu(module.linear(torch.sigmoid(slot[0] * read) * mixed))
    torch.testing.assert_close(fused[0], module.norm(slot[0] + gated))

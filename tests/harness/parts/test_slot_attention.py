"""Slots that divide the rows of a sequence among them."""

from __future__ import annotations

import torch

from vmrbench.parts.slot_attention import SlotAttention


@torch.no_grad()
def test_a_round_adds_the_mean_of_values_weighted_by_each_slots_share_of_a_row() -> None:
    torch.manual_seed(0)
    module, rows = SlotAttention(3, 4, 1), torch.randn(1, 5, 4)

    slots = module(rows, torch.ones(1, 5, dtype=torch.bool))[0]

    normed = module.row_norm(rows[0])
    key, value, query = module.key(normed), module.value(normed), module.query(module.slot_norm(module.slots))
    expected = module.slots.clone()
    for slot in range(3):
        shares = [torch.softmax(query @ key[row] / 2, 0)[slot] for row in range(5)]
        expected[slot] += sum(share * value[row] for row, share in enumerate(shares)) / sum(shares)
    expected = module.out_norm(expected + module.inner(module.inner_norm(expected)))
    torch.testing.assert_close(slots, expected)


@torch.no_grad()
def test_padding_changes_slots_only_as_an_option() -> None:
    torch.manual_seed(0)
    rows, mask = torch.randn(1, 5, 4), torch.tensor([[True, True, True, False, False]])

    for official in (False, True):
        module = SlotAttention(3, 4, 2, official_padding=official)
        alone = module(rows[:, :3], mask[:, :3])
        assert torch.allclose(module(rows, mask), alone, atol=1e-5) is not official

"""Slots that compete for the rows of a sequence, so that each gathers one part of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.heads import Mlp


class SlotAttention(nn.Module):
    """Learned slots, refined by rounds in which every row divides its attention among them.

    Args:
        slots: number of slots Q.
        width: D of rows and slots.
        rounds: how often the slots read the rows.
        official_padding: every slot reads a padded row to an equal share, as the official EaTR does: it masks scores
            before a softmax over slots, where that leaves them all equal.

    Source:
        Locatello et al., Object-Centric Learning with Slot Attention, 2020, as in the code of EaTR: slots start from
        learned vectors rather than at random, and a residual sum stands in place of the GRU.
    """

    def __init__(self, slots: int, width: int, rounds: int, *, official_padding: bool = False) -> None:
        super().__init__()
        self.rounds, self.official_padding = rounds, official_padding
        self.slots = nn.Parameter(torch.empty(slots, width))
        nn.init.xavier_uniform_(self.slots)
        self.row_norm, self.slot_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inner_norm, self.out_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.inner = Mlp(width, width, width)

    def forward(self, rows: Tensor, row_mask: Tensor) -> Tensor:
        """[B, Q, D] from rows [B, L, D], row_mask [B, L] true for real rows."""
        rows = self.row_norm(rows)
        key, value = self.key(rows).transpose(1, 2), self.value(rows)
        slots = self.slots.expand(len(rows), -1, -1)
        on_padding = 1 / len(self.slots) if self.official_padding else 0.0
        for _ in range(self.rounds):
            scores = self.query(self.slot_norm(slots)) @ key / slots.shape[-1] ** 0.5
            share = scores.softmax(1).masked_fill(~row_mask[:, None], on_padding)
            slots = slots + share / (share.sum(-1, keepdim=True) + 1e-8) @ value
            slots = slots + self.inner(self.inner_norm(slots))
        out: Tensor = self.out_norm(slots)
        return out

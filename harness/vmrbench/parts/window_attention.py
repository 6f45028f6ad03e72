"""Attention of rows to their neighbours, at a cost that grows with the number of rows and not with its square."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.attention import attend
from vmrbench.parts.row_layers import RowConv


def window_attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, row_mask: Tensor, reach: int, dropout: float
) -> Tensor:
    """Scaled dot-product attention of every row to the rows at most `reach` away.

    Queries go in blocks of `reach` rows, each against its block and `reach` rows on either side; where that is no less
    than all rows, each goes against all with the others masked.

    Args:
        query, key, value: [B, L, D], projected; D is divided among the heads.
        heads: number of heads.
        row_mask: [B, L] true for rows that may be attended to. A row always attends to itself, so that padding stays
            finite.
        reach: at least 1; the window has 2 `reach` + 1 rows.
        dropout: probability of dropping an attention weight; 0 outside training.

    Returns:
        [B, L, D] the heads side by side.
    """
    if query.shape[1] <= 3 * reach:
        away = _distance(query.shape[1], query.device)
        near = (away <= reach) & row_mask[:, None] | (away == 0)
        return attend(query, key, value, heads, near[:, None], dropout)
    size, length, width = query.shape
    block, seen = reach, 3 * reach
    after = -length % block
    blocks = F.pad(query, (0, 0, 0, after)).reshape(-1, block, width)
    # Rows stay rows, one behind the other in memory: torch's fused attention takes no other layout.
    around = [
        F.pad(rows, (0, 0, reach, after + reach)).unfold(1, seen, block).transpose(2, 3).reshape(-1, seen, width)
        for rows in (key, value)
    ]
    allowed = _window_mask(F.pad(row_mask, (reach, after + reach)).unfold(1, seen, block), reach)
    mixed = attend(blocks, around[0], around[1], heads, allowed, dropout)
    return mixed.reshape(size, length + after, width)[:, :length]


class RowAttention(nn.Module):
    """Attention with pointwise projections, to all rows or to a window.

    Args:
        width: of queries, and of what is compared.
        key_width: of keys and values.
        out_width: of the result.
        heads: number of heads, a divisor of `width`.
        dropout: of the result.
        reach: 0 for attention to all keys, else see `window_attend`.
    """

    def __init__(
        self, width: int, key_width: int, out_width: int, heads: int, dropout: float = 0.0, *, reach: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.query = RowConv(width, width)
        self.key = RowConv(key_width, width)
        self.value = RowConv(key_width, width)
        self.out = RowConv(width, out_width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
        """[B, N, out_width] from query [B, N, width], key and value [B, S, key_width], key_mask [B, S]."""
        q, k, v = self.query(query), self.key(key), self.value(value)
        if self.reach:
            mixed = window_attend(q, k, v, self.heads, key_mask, self.reach, 0.0)
        else:
            mixed = attend(q, k, v, self.heads, key_mask, 0.0)
        out: Tensor = self.dropout(self.out(mixed))
        return out


def _window_mask(seen_mask: Tensor, reach: int) -> Tensor:
    """[B N, 1, reach, 3 reach] which rows of seen_mask [B, N, 3 reach] each query of a block may attend to."""
    away = _distance(3 * reach, seen_mask.device)[reach : 2 * reach]
    allowed = (away <= reach) & seen_mask[:, :, None] | (away == 0)
    return allowed.reshape(-1, 1, reach, 3 * reach)


def _distance(length: int, device: torch.device) -> Tensor:
    """[length, length] how many rows apart two rows are."""
    place = torch.arange(length, device=device)
    return (place - place[:, None]).abs()

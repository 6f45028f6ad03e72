"""Attention of many heads, and the feed-forward block that follows it."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "prelu", "gelu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU, "gelu": nn.GELU}


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None, dropout: float) -> Tensor:
    """Scaled dot-product attention over projected inputs.

    Args:
        query: [B, N, D], key: [B, S, D], value: [B, S, Dv]; D and Dv are divided among the heads.
        heads: number of heads.
        mask: [B, S] true for rows that may be attended to, or [B, heads, N, S] for each head and query; None for all.
        dropout: probability of dropping an attention weight; 0 outside training.

    Returns:
        [B, N, Dv] the heads side by side.
    """
    split = [rows.reshape(*rows.shape[:2], heads, -1).transpose(1, 2) for rows in (query, key, value)]
    mask = mask[:, None, None] if mask is not None and mask.dim() == 2 else mask
    mixed = F.scaled_dot_product_attention(split[0], split[1], split[2], attn_mask=mask, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(2)


class MultiHeadAttention(nn.Module):
    """Attention with its projections, packed as in `torch.nn.MultiheadAttention`.

    Args:
        width: D of queries, keys and values.
        heads: number of heads, a divisor of `width`.
        dropout: of attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, N, D] from query [B, N, D], key and value [B, S, D], mask [B, S] true for real rows or as in `attend`."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = [F.linear(rows, w, b) for rows, w, b in zip((query, key, value), weights, biases, strict=True)]
        mixed = attend(q, k, v, self.heads, mask, self.dropout if self.training else 0.0)
        out: Tensor = self.out_proj(mixed)
        return out


class FeedForward(nn.Module):
    """Two linear layers with an activation between: D to `inner` and back.

    Args:
        width: D.
        inner: width between the layers.
        dropout: after the activation.
        activation: `relu`, `gelu`, or `prelu` with one learned slope.
    """

    def __init__(self, width: int, inner: int, dropout: float = 0.0, activation: Activation = "relu") -> None:
        super().__init__()
        self.expand = nn.Linear(width, inner)
        self.contract = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, rows: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        out: Tensor = self.contract(self.dropout(self.activation(self.expand(rows))))
        return out

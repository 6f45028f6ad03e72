"""Cross-modal encoder that may decline to read: dummies stand beside the words, take attention and give nothing.

The less a sentence has to do with a clip, the more of the clip's attention goes to the dummies, and the less it reads.

Source: Moon et al., CG-DETR, 2023, adaptive cross-attention, as in its code.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.attention import Activation
from vmrbench.parts.cross_encoder import CrossEncoderLayer, neighbours_mask


class AdaptiveCrossAttention(nn.Module):
    """Attention to dummies and words of which only the words are read; queries, keys and values are not projected.

    Args:
        width: D of queries, keys and values.
        heads: number of heads, a divisor of `width`.
        dropout: of attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.out_proj = nn.Linear(width, width)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What every row reads, and where it looked.

        Args:
            query: [B, N, D].
            key: [B, S, D] dummies followed by words.
            words: [B, T, D] values of the words; the first S - T keys are dummies.
            mask: [B, S] true for what may be attended to, or [B, heads, N, S] for each head and query.

        Returns:
            [B, N, D], and the weights [B, N, S], the mean over heads, without dropout.
        """
        q, k, v = (rows.reshape(*rows.shape[:2], self.heads, -1).transpose(1, 2) for rows in (query, key, words))
        visible = mask[:, None, None] if mask.dim() == 2 else mask
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
        read = F.dropout(weights, self.dropout, self.training)[..., -words.shape[1] :] @ v
        return self.out_proj(read.transpose(1, 2).flatten(2)), weights.mean(1)


class AdaptiveCrossEncoder(nn.Module):
    """A stack of `CrossEncoderLayer` with `AdaptiveCrossAttention`; arguments as in `CrossEncoder`."""

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        *,
        activation: Activation = "relu",
        drop_path: float | None = None,
        official_padding: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.official_padding = heads, official_padding
        self.layers = nn.ModuleList(
            CrossEncoderLayer(
                width,
                heads,
                inner,
                dropout,
                activation=activation,
                drop_path=drop_path,
                attention=AdaptiveCrossAttention(width, heads, dropout),
            )
            for _ in range(layers)
        )

    def forward(
        self, rows: Tensor, position: Tensor, row_mask: Tensor, words: Tensor, keys: Tensor, key_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The rows after every layer has read the words, and where they looked.

        Args:
            rows, position: [B, N, D].
            row_mask: [B, N] true for real rows.
            words: [B, T, D] without positions.
            keys: [B, S, D] dummies followed by words, with positions.
            key_mask: [B, S] true for dummies and real words.

        Returns:
            [B, N, D], and attention weights [B, N, S], the mean over heads and layers.
        """
        mask = neighbours_mask(row_mask, key_mask, self.heads) if self.official_padding else key_mask
        looked = []
        for layer, attention in self._steps():
            read, weights = attention(rows + position, keys, words, mask)
            rows = layer.join(rows, read)
            looked.append(weights)
        return rows, torch.stack(looked).mean(0)

    def without_words(self, rows: Tensor) -> Tensor:
        """[B, N, D] rows that go through every layer and read nothing: the bias of the attention alone joins them."""
        for layer, attention in self._steps():
            rows = layer.join(rows, attention.out_proj.bias.expand_as(rows))
        return rows

    def _steps(self) -> Iterator[tuple[CrossEncoderLayer, AdaptiveCrossAttention]]:
        for layer in self.layers:
            assert isinstance(layer, CrossEncoderLayer)
            assert isinstance(layer.attention, AdaptiveCrossAttention)
            yield layer, layer.attention

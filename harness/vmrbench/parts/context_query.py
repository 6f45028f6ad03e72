"""Context-query attention: every clip reads the query, weighted by how well clip and token fit.

Source: Seo et al., Bidirectional Attention Flow, 2017, as in VSLNet (Zhang et al., 2020), whose block TR-DETR and the
private encoder of SpotVMR borrow.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vmrbench.parts.convolution import Pointwise


class ContextQueryAttention(nn.Module):
    """Clips that have read the query token by token. width: D; dropout: of what the fit is computed from."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.of_clip = nn.Parameter(torch.empty(width, 1))
        self.of_token = nn.Parameter(torch.empty(width, 1))
        self.of_both = nn.Parameter(torch.empty(1, 1, width))
        for weight in (self.of_clip, self.of_token, self.of_both):
            nn.init.xavier_uniform_(weight)
        self.dropout = nn.Dropout(dropout)
        self.mix = Pointwise(4 * width, width)

    def forward(self, clips: Tensor, clip_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """[B, L, D] from clips [B, L, D], tokens [B, T, D] and their masks, true for what is real."""
        weights = (self.of_clip[:, 0], self.of_token[:, 0], self.of_both[0, 0])
        fit = trilinear(self.dropout(clips), self.dropout(tokens), weights)
        mixed: Tensor = self.mix(read_both_ways(fit, clips, clip_mask, tokens, token_mask))
        return mixed


class QueryConcatenation(nn.Module):
    """Clips that have read the query as a whole: its pooled vector beside each, projected back. width: D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = WeightedPool(width)
        self.mix = Pointwise(2 * width, width)

    def forward(self, clips: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """[B, L, D] from clips [B, L, D], tokens [B, T, D] and token_mask [B, T], true for real tokens."""
        sentence = self.pool(tokens, token_mask)[:, None].expand(-1, clips.shape[1], -1)
        mixed: Tensor = self.mix(torch.cat([clips, sentence], dim=-1))
        return mixed


class WeightedPool(nn.Module):
    """A sequence as one vector: the mean of its rows, weighted by a softmax over a learned score. width: D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 1))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, rows: Tensor, row_mask: Tensor) -> Tensor:
        """[B, D] from rows [B, N, D] and row_mask [B, N], true for real rows."""
        share = _over(rows @ self.weight, row_mask[..., None], 1)
        return (share.transpose(1, 2) @ rows)[:, 0]


def trilinear(clips: Tensor, tokens: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """[B, L, T] how well every clip fits every token.

    Args:
        clips: [B, L, D].
        tokens: [B, T, D].
        weights: three times [D]: of the clip, of the token, of their product.
    """
    of_clip, of_token, of_both = weights
    turned = tokens.transpose(1, 2)
    # As matrices of one column and one row: counters of multiply-adds do not know products with a vector.
    return clips @ of_clip[:, None] + of_token[None] @ turned + (clips * of_both) @ turned


def read_both_ways(fit: Tensor, clips: Tensor, clip_mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
    """[B, L, 4 D] every clip, what it reads of the query, and its products with that and with what reads back.

    Args:
        fit: [B, L, T] from `trilinear`.
        clips: [B, L, D]; clip_mask: [B, L] true for real clips.
        tokens: [B, T, D]; token_mask: [B, T] true for real tokens.
    """
    over_tokens, over_clips = _over(fit, token_mask[:, None], 2), _over(fit, clip_mask[..., None], 1)
    read = over_tokens @ tokens
    echoed = over_tokens @ (over_clips.transpose(1, 2) @ clips)
    return torch.cat([clips, read, clips * read, clips * echoed], dim=-1)


def _over(scores: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Softmax over `dim` of what the mask leaves."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim)

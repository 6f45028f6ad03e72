"""A query encoded on its own, and its fusion with video rows that are encoded already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vmrbench.parts.position import sine_halves
from vmrbench.parts.pyramid import Residuals
from vmrbench.parts.row_layers import ResidualFeedForward, RowConv, RowNorm, ScaledBranch
from vmrbench.parts.window_attention import RowAttention


class TokenBlock(nn.Module):
    """Transformer block over all tokens of a query, norms first."""

    def __init__(self, width: int, heads: int, residuals: Residuals) -> None:
        super().__init__()
        self.norm = RowNorm(width)
        self.attention = RowAttention(width, width, width, heads, residuals.dropout)
        self.branch = ScaledBranch(width, residuals.drop_path, residuals.branch_scale)
        self.feed_forward = ResidualFeedForward(width, residuals.dropout, residuals.drop_path, residuals.branch_scale)

    def forward(self, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """[B, T, D] from tokens [B, T, D], token_mask [B, T] true for real tokens."""
        normed = self.norm(tokens)
        mixed = tokens + self.branch(self.attention(normed, normed, normed, token_mask))
        out: Tensor = self.feed_forward(mixed)
        return out


class TokenEncoder(nn.Module):
    """Query tokens behind a learned background token, which rows can attend to where no word concerns them.

    Args:
        text_width: of the tokens.
        width: D of the result.
        layers: blocks.
        heads, residuals: of the blocks.
    """

    def __init__(self, text_width: int, width: int, layers: int, heads: int, residuals: Residuals) -> None:
        super().__init__()
        self.width = width
        self.projection = RowConv(text_width, width)
        self.background = nn.Parameter(torch.randn(width, 1) / width**0.5)
        self.blocks = nn.ModuleList(TokenBlock(width, heads, residuals) for _ in range(layers))

    def forward(self, query: Tensor, query_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, 1 + T, D] and their mask, from query [B, T, text_width], query_mask [B, T]."""
        words = self.projection(query)
        words = words + sine_halves(words.shape[1], self.width, words.device).to(words.dtype)
        tokens = torch.cat([self.background[:, 0].expand(len(words), 1, -1), words], dim=1)
        token_mask = torch.cat([torch.ones_like(query_mask[:, :1]), query_mask], dim=1)
        for block in self.blocks:
            tokens = block(tokens, token_mask)
        return tokens, token_mask


class PooledTokens(nn.Module):
    """Query tokens behind their sentence: what the mean of the tokens reads from itself and from them.

    For tokens that a language model has placed and encoded already. Arguments as of `TokenEncoder`.
    """

    def __init__(self, text_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.projection = RowConv(text_width, width)
        self.pool = RowAttention(width, width, width, heads)

    def forward(self, query: Tensor, query_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, 1 + T, D] and their mask, from query [B, T, text_width], query_mask [B, T]."""
        words = self.projection(query)
        token_mask = torch.cat([torch.ones_like(query_mask[:, :1]), query_mask], dim=1)
        real = words.masked_fill(~query_mask[..., None], 0.0)
        mean = real.sum(1, keepdim=True) / query_mask.sum(1).clamp(min=1)[:, None, None]
        both = torch.cat([mean, words], dim=1)
        return torch.cat([self.pool(mean, both, both, token_mask), words], dim=1), token_mask


class FusionLayer(nn.Module):
    """Every row reads the query and is scaled and shifted by what it read.

    Args:
        width: D of the rows.
        text_width: of the tokens.
        heads: attention heads.
        modulation: `affine` scales the row itself, `adaln` the row normalised.
        residuals: of the feed-forward branch.
    """

    def __init__(
        self, width: int, text_width: int, heads: int, modulation: Literal["affine", "adaln"], residuals: Residuals
    ) -> None:
        super().__init__()
        self.row_norm = RowNorm(width)
        self.text_norm = RowNorm(text_width)
        self.conv = RowConv(width, width, 3, depthwise=True, bias=False)
        self.conv_norm = RowNorm(width)
        self.attention = RowAttention(width, text_width, 2 * width, heads, residuals.dropout)
        self.plain = RowNorm(width, affine=False) if modulation == "adaln" else nn.Identity()
        self.feed_forward = ResidualFeedForward(width, residuals.dropout, residuals.drop_path, residuals.branch_scale)

    def forward(
        self, rows: Tensor, row_mask: Tensor, sizes: Sequence[int], tokens: Tensor, token_mask: Tensor
    ) -> Tensor:
        """[B, L, D] from rows [B, L, D] of levels of these sizes, tokens [B, T, text_width], and their masks."""
        asking = self.conv_norm(self.conv(self.row_norm(rows), row_mask, sizes))
        text = self.text_norm(tokens)
        scale, shift = self.attention(asking, text, text, token_mask).chunk(2, dim=-1)
        out: Tensor = self.feed_forward(self.plain(rows) * scale + shift)
        return out

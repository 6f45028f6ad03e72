"""A small cross-modal encoder for selectors whose backbone shares none."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vmrbench.parts.context_query import read_both_ways, trilinear
from vmrbench.parts.convolution import SeparableConvolutions, hide_padding
from vmrbench.parts.window_attention import window_attend

# Clips on either side that a clip attends to: all of them in a video of up to so many. SpotEM pools a video to 128
# positions before its attention; here rows stay, and cost must not grow with the square of their number.
REACH = 256


class PrivateEncoder(nn.Module):
    """Convolutions and self-attention over the clips, then context-query attention with the words.

    Source: the shape of VSLNet's encoder (Zhang et al., ACL 2020) that SpotEM's selector borrows: four depthwise
    separable convolutions, one attention layer, trilinear context-query attention. Ours: attention reaches
    `REACH` clips to either side, so that time and memory grow with the length of a video and not with its square.
    """

    def __init__(self, video_width: int, text_width: int, width: int, *, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.reach = REACH
        self.video_in, self.text_in = nn.Linear(video_width, width), nn.Linear(text_width, width)
        self.convolutions = SeparableConvolutions(width, layers, 7)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.trilinear = nn.Parameter(torch.randn(3, width) / width**0.5)
        self.mix = nn.Linear(4 * width, width)

    def encode_query(self, query: Tensor, query_mask: Tensor) -> Tensor:
        """[B, T, width] words of a query [B, T, text_width], once for all passes over its video."""
        return self._encode(self.text_in(query), query_mask)

    def forward(self, video: Tensor, clip_mask: Tensor, words: Tensor, query_mask: Tensor) -> Tensor:
        """Fused embedding of every clip.

        Args:
            video: [B, L, video_width]; clip_mask: [B, L].
            words: [B, T, width], of `encode_query`; query_mask: [B, T].

        Returns:
            [B, L, width], independent of padding.
        """
        hidden = self._encode(self.video_in(video), clip_mask)
        fit = trilinear(hidden, words, self.trilinear.unbind())
        mixed: Tensor = self.mix(read_both_ways(fit, hidden, clip_mask, words, query_mask))
        return mixed

    def _encode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        hidden = self.convolutions(hidden, mask)
        normed = self.attention_norm(hidden)
        return hide_padding(hidden + self._attend(normed, mask), mask)

    def _attend(self, rows: Tensor, mask: Tensor) -> Tensor:
        attention = self.attention
        if rows.shape[1] <= self.reach:
            attended: Tensor = attention(rows, rows, rows, key_padding_mask=~mask, need_weights=False)[0]
            return attended
        query, key, value = functional.linear(rows, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        mixed = window_attend(query, key, value, attention.num_heads, mask, self.reach, 0.0)
        out: Tensor = attention.out_proj(mixed)
        return out

"""A small cross-modal encoder for selectors whose backbone shares none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.context_query import read_both_ways, trilinear
from vmrbench.parts.convolution import SeparableConvolutions, hide_padding


class PrivateEncoder(nn.Module):
    """Convolutions and self-attention over the clips, then context-query attention with the words.

    Source: the shape of VSLNet's encoder (Zhang et al., ACL 2020) that SpotEM's selector borrows: four depthwise
    separable convolutions, one attention layer, trilinear context-query attention.
    """

    def __init__(self, video_width: int, text_width: int, width: int, *, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.video_in, self.text_in = nn.Linear(video_width, width), nn.Linear(text_width, width)
        self.convolutions = SeparableConvolutions(width, layers, 7)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.trilinear = nn.Parameter(torch.randn(3, width) / width**0.5)
        self.mix = nn.Linear(4 * width, width)

    def forward(self, video: Tensor, clip_mask: Tensor, query: Tensor, query_mask: Tensor) -> Tensor:
        """Fused embedding of every clip.

        Args:
            video: [B, L, video_width]; clip_mask: [B, L].
            query: [B, T, text_width]; query_mask: [B, T].

        Returns:
            [B, L, width], independent of padding.
        """
        hidden = self._encode(self.video_in(video), clip_mask)
        words = self._encode(self.text_in(query), query_mask)
        fit = trilinear(hidden, words, self.trilinear.unbind())
        mixed: Tensor = self.mix(read_both_ways(fit, hidden, clip_mask, words, query_mask))
        return mixed

    def _encode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        hidden = self.convolutions(hidden, mask)
        normed = self.attention_norm(hidden)
        attended = self.attention(normed, normed, normed, key_padding_mask=~mask, need_weights=False)[0]
        return hide_padding(hidden + attended, mask)

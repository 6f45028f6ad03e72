"""A small cross-modal encoder for selectors whose backbone shares none."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PrivateEncoder(nn.Module):
    """Convolutions and self-attention over the clips, then context-query attention with the words.

    Source: the shape of VSLNet's encoder (Zhang et al., ACL 2020) that SpotEM's selector borrows: four depthwise
    separable convolutions, one attention layer, trilinear context-query attention.
    """

    def __init__(self, video_width: int, text_width: int, width: int, *, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.video_in, self.text_in = nn.Linear(video_width, width), nn.Linear(text_width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.convolutions = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, width, 7, padding=3, groups=width), nn.Conv1d(width, width, 1), nn.ReLU())
            for _ in range(layers)
        )
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
        return self._fuse(hidden, words, clip_mask, query_mask)

    def _encode(self, hidden: Tensor, mask: Tensor) -> Tensor:
        visible = mask[..., None].to(hidden.dtype)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            hidden = hidden + convolution((norm(hidden) * visible).transpose(1, 2)).transpose(1, 2)
        normed = self.attention_norm(hidden)
        attended = self.attention(normed, normed, normed, key_padding_mask=~mask, need_weights=False)[0]
        encoded: Tensor = (hidden + attended) * visible
        return encoded

    def _fuse(self, hidden: Tensor, words: Tensor, clip_mask: Tensor, query_mask: Tensor) -> Tensor:
        of_clip, of_word, of_both = self.trilinear
        score = (hidden @ of_clip)[..., None] + (words @ of_word)[:, None] + (hidden * of_both) @ words.transpose(1, 2)
        lowest = torch.finfo(score.dtype).min
        over_words = score.masked_fill(~query_mask[:, None], lowest).softmax(2)
        over_clips = score.masked_fill(~clip_mask[..., None], lowest).softmax(1)
        read = over_words @ words
        echoed = over_words @ (over_clips.transpose(1, 2) @ hidden)
        mixed: Tensor = self.mix(torch.cat([hidden, read, hidden * read, hidden * echoed], dim=-1))
        return mixed

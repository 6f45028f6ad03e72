"""Video and query integrated step by step, as in UVCOM: read, clustered, mixed, encoded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmrbench.parts.alignment import mean_of_real
from vmrbench.parts.cross_encoder import CrossEncoder
from vmrbench.parts.encoder import Encoder
from vmrbench.parts.initial_weights import xavier_weights
from vmrbench.parts.soft_clusters import soft_clusters, walk_to_clusters

WALK_SHARE = 0.5  # Weight of the word clusters in the random walk, as in the code of UVCOM.


@dataclass(frozen=True, kw_only=True)
class Query:
    """tokens: [B, T, D] projected; position: [B, T, D] of the tokens; mask: [B, T] true for real tokens."""

    tokens: Tensor
    position: Tensor
    mask: Tensor


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What video and query become.

    summary: [B, D] of both; memory: [B, L, D] encoded clips; clips: [B, L, D] before the encoder; sentence: [B, D] mean
    of the words that have read the clips.
    """

    summary: Tensor
    memory: Tensor
    clips: Tensor
    sentence: Tensor


class Integration(nn.Module):
    """Clips and words read each other, clips see neighbours and walk to clusters of words, an encoder joins all.

    Before the clips the encoder sees a global row: of their clusters the one most like the clusters of words.

    Args:
        layers: of each cross-encoder and of the encoder.
        width, heads, inner, dropout: as in `EncoderLayer`.
        word_clusters, clip_clusters, cluster_rounds: see `soft_clusters`.
        official_padding: padding counts as a row of its own in clusters, means, convolution and random walk, and see
            `neighbours_mask`.

    Source:
        Xiao et al., UVCOM, 2024, the comprehensive integration module of its code.
    """

    unused_parameters = ("global_token",)

    def __init__(
        self,
        layers: int,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        *,
        word_clusters: int,
        clip_clusters: int,
        cluster_rounds: int,
        official_padding: bool = False,
    ) -> None:
        super().__init__()
        self.cluster_rounds, self.official_padding = cluster_rounds, official_padding
        self.clip_reader, self.word_reader = (
            CrossEncoder(layers, width, heads, inner, dropout, activation="prelu", official_padding=official_padding)
            for _ in range(2)
        )
        self.encoder = Encoder(layers, width, heads, inner, dropout, activation="prelu")
        self.sentence = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))
        self.neighbours = nn.ModuleList(nn.Conv1d(width, width, rows, padding=rows // 2) for rows in (1, 3, 1))
        self.word_centres = nn.Parameter(torch.empty(word_clusters, width))
        self.clip_centres = nn.Parameter(torch.empty(clip_clusters, width))
        xavier_weights(self)
        # The official model has it, and overwrites it before anything reads it.
        self.global_token = nn.Parameter(torch.randn(width))
        self.global_position = nn.Parameter(torch.randn(width))

    def forward(self, clips: Tensor, position: Tensor, clip_mask: Tensor, query: Query) -> Fused:
        """What video and query become.

        Args:
            clips, position: [B, L, D].
            clip_mask: [B, L] true for real clips.
            query: of the B samples.
        """
        words = self.word_reader(query.tokens, query.position, query.mask, clips, clips + position, clip_mask)
        placed = query.tokens + query.position
        clips = self.clip_reader(clips, position, clip_mask, query.tokens, placed, query.mask)
        counted_words, counted_clips = self.counted(query.mask), self.counted(clip_mask)
        topics = soft_clusters(self.word_centres, words, counted_words, self.cluster_rounds)
        scenes = soft_clusters(self.clip_centres, clips, counted_clips, self.cluster_rounds)
        seen = self._with_neighbours(clips, clip_mask)
        clips = clips + walk_to_clusters(seen, topics, counted_clips, WALK_SHARE)
        rows = torch.cat([_most_similar(scenes, topics), clips], dim=1)
        places = torch.cat([self.global_position.expand(len(clips), 1, -1), position], dim=1)
        memory = self.encoder(rows, places, torch.cat([torch.ones_like(clip_mask[:, :1]), clip_mask], dim=1))
        sentence = mean_of_real(self.sentence(words), counted_words)
        return Fused(summary=memory[:, 0], memory=memory[:, 1:], clips=clips, sentence=sentence)

    def counted(self, mask: Tensor) -> Tensor:
        """Rows that count in sums over rows: the real ones, or all of them where padding counts as officially."""
        return torch.ones_like(mask) if self.official_padding else mask

    def _with_neighbours(self, clips: Tensor, clip_mask: Tensor) -> Tensor:
        first, second, third = self.neighbours
        rows = first((clips * clip_mask[..., None]).transpose(1, 2)) * self.counted(clip_mask)[:, None]
        seen: Tensor = clips + third(second(rows)).transpose(1, 2)
        return seen


def _most_similar(scenes: Tensor, topics: Tensor) -> Tensor:
    """[B, 1, D] the one of scenes [B, K, D] with the greatest mean cosine with topics [B, N, D]."""
    fit = F.normalize(scenes, dim=-1) @ F.normalize(topics, dim=-1).mean(1)[..., None]
    return scenes.gather(1, fit.argmax(1, keepdim=True).expand(-1, 1, scenes.shape[-1]))

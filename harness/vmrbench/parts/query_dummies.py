"""Dummies that read a query and then stand beside its words, for what in a video the query does not speak of."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from vmrbench.parts.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class Words:
    """A query and its dummies.

    tokens: [B, T, D]; dummies: [B, N, D]; of both, dummies first: position [B, N + T, D], mask [B, N + T] true for
    dummies and real words.
    """

    tokens: Tensor
    dummies: Tensor
    position: Tensor
    mask: Tensor

    @property
    def keys(self) -> Tensor:
        """[B, N + T, D] dummies and words at their positions."""
        return torch.cat([self.dummies, self.tokens], dim=1) + self.position

    def of(self, samples: Tensor) -> Words:
        """The words of other samples, by their places in the batch."""
        return Words(**{item.name: getattr(self, item.name)[samples] for item in fields(self)})


class QueryDummies(nn.Module):
    """Learned dummies, encoded with the words of a query.

    Args:
        encoder: what dummies and words go through; of width D.
        count: N.
        width: D.

    Source:
        Moon et al., CG-DETR, 2023, as in its code.
    """

    def __init__(self, encoder: Encoder, count: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokens = nn.Parameter(torch.randn(count, width))
        self.places = nn.Parameter(torch.randn(count, width))

    def forward(self, tokens: Tensor, position: Tensor, mask: Tensor) -> Words:
        """The words as they came, and dummies that have read them.

        Args:
            tokens, position: [B, T, D].
            mask: [B, T] true for real words.
        """
        count, blank = len(self.tokens), tokens.new_zeros(len(tokens), 1, 1)
        position = torch.cat([blank + self.places, position], dim=1)
        mask = torch.cat([mask.new_ones(len(mask), count), mask], dim=1)
        read = self.encoder(torch.cat([blank + self.tokens, tokens], dim=1), position, mask)
        return Words(tokens=tokens, dummies=read[:, :count], position=position, mask=mask)

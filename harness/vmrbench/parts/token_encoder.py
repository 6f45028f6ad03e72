"""A token that sums up the rows it is encoded with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vmrbench.parts.encoder import Encoder


def encode_with_token(
    encoder: Encoder, token: Tensor, place: Tensor, rows: Tensor, position: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """The token and the rows after they have read each other.

    Args:
        encoder: of width D.
        token, place: [..., D] content and position of the token, the same for all samples or [B, 1, D].
        rows, position: [B, N, D].
        mask: [B, N] true for rows that may be read; the token always may.

    Returns:
        the token [B, D] and the rows [B, N, D].
    """
    first = torch.zeros_like(rows[:, :1])
    encoded = encoder(
        torch.cat([first + token, rows], dim=1),
        torch.cat([first + place, position], dim=1),
        torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1),
    )
    return encoded[:, 0], encoded[:, 1:]


class TokenEncoder(nn.Module):
    """An encoder with a learned token of its own.

    Args:
        encoder: what the token and the rows go through.
        width: D.
    """

    def __init__(self, encoder: Encoder, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.token = nn.Parameter(torch.randn(width))
        self.place = nn.Parameter(torch.randn(width))

    def forward(self, rows: Tensor, position: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The token [B, D] and the rows [B, N, D], see `encode_with_token`."""
        return encode_with_token(self.encoder, self.token, self.place, rows, position, mask)

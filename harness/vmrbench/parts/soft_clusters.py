"""Soft clusters of a sequence, and rows drawn towards them. Rows and centres are compared by direction alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = 1.2  # Width of a cluster, as in the code of UVCOM.
SHARPNESS = 5.0  # Of the choice among clusters on a random walk, as in the code of UVCOM.


def soft_clusters(centres: Tensor, rows: Tensor, row_mask: Tensor, rounds: int) -> Tensor:
    """Centres moved to the rows that lie in their direction, by expectation and maximisation.

    In every round the clusters share each row, and a centre becomes the mean of its shares.

    Args:
        centres: [K, D] to start from.
        rows: [B, N, D].
        row_mask: [B, N] true for rows that count.
        rounds: at least 1.

    Returns:
        [B, K, D].

    Source:
        Xiao et al., UVCOM, 2024, as in its code.
    """
    directions, moved = F.normalize(rows, dim=-1), centres.expand(len(rows), -1, -1)
    for _ in range(rounds):
        # The squared distance of two directions is 2 - 2 cosine.
        shares = (F.normalize(moved, dim=-1) @ directions.transpose(1, 2) / SIGMA**2).softmax(1)
        moved = _mean_weights(shares, row_mask) @ rows
    return moved


def walk_to_clusters(rows: Tensor, clusters: Tensor, row_mask: Tensor, share: float) -> Tensor:
    """Rows mixed with clusters, and through the clusters with each other: a random walk to its end.

    With z [K, N] how the clusters share the rows, and n = z over its row sums, it is
    (1 - share) inverse(1 - share^2 z'n) (share z' clusters + rows). The inverse of the [N, N] matrix is taken by way of
    a [K, K] one (Woodbury's identity), which is the same and cheaper.

    Args:
        rows: [B, N, D].
        clusters: [B, K, D].
        row_mask: [B, N] true for rows that count.
        share: weight of the clusters, 0..1, less than 1.

    Returns:
        [B, N, D].

    Source:
        Xiao et al., UVCOM, 2024, as in its code.
    """
    cosine = F.normalize(clusters, dim=-1) @ F.normalize(rows, dim=-1).transpose(1, 2)
    shares = (SHARPNESS * cosine).softmax(1) * row_mask[:, None]
    weights = _mean_weights(shares, row_mask)
    mixed = share * shares.transpose(1, 2) @ clusters + rows
    returning = weights @ shares.transpose(1, 2)
    system = torch.eye(clusters.shape[1], device=rows.device) - share**2 * returning.float()
    # Lower precision has no solver; and unlike `solve` it does not wait for the device to say that all went well.
    walked = torch.linalg.solve_ex(system, (weights @ mixed).float())[0]
    through: Tensor = shares.transpose(1, 2) @ walked.to(rows.dtype)
    return (1 - share) * (mixed + share**2 * through)


def _mean_weights(shares: Tensor, row_mask: Tensor) -> Tensor:
    """[B, K, N] weights of the rows in each cluster's mean, from its shares of them."""
    counted = shares * row_mask[:, None]
    return counted / (counted.sum(-1, keepdim=True) + 1e-9)

"""Dropout of whole residual branches, sample by sample."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """In training a sample's branch is zero with probability `rate`, else scaled so that its mean stays.

    Source:
        Huang et al., Deep Networks with Stochastic Depth, 2016.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """[B, ...] to [B, ...]."""
        if not self.training or self.rate == 0:
            return branch
        kept = branch.new_empty(len(branch), *[1] * (branch.dim() - 1)).bernoulli_(1 - self.rate)
        return branch * kept / (1 - self.rate)


def residual_dropout(rate: float, drop_path: float | None) -> nn.Module:
    """What stands before a residual sum: dropout of single values, or of whole branches at rate `drop_path`."""
    return nn.Dropout(rate) if drop_path is None else DropPath(drop_path)

"""How weights begin."""

from __future__ import annotations

from torch import nn


def xavier_weights(*modules: nn.Module) -> None:
    """Draw every weight matrix of the modules anew, uniformly as Glorot and Bengio (2010) do; vectors stay."""
    for module in modules:
        for weight in module.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)

"""A backbone that keeps its weights while a trimmer learns around it."""

from __future__ import annotations

from torch import nn


def freeze_state(module: nn.Module) -> None:
    """Evaluation mode: no dropout, no running statistics.

    Recurrent layers that drop nothing out stay in training mode, in which they compute the same: on CUDA a gradient
    passes through them in no other.
    """
    module.eval()
    for layer in module.modules():
        if isinstance(layer, nn.RNNBase) and layer.dropout == 0:
            layer.train()


def learns(module: nn.Module) -> bool:
    """Whether anything of `module` is trained."""
    return any(parameter.requires_grad for parameter in module.parameters())

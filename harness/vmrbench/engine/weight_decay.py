"""Which parameters weight decay pulls to zero."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd


def split_by_decay(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that decay and parameters that do not, each in the order of the module.

    Decayed are the weights of linear layers and convolutions, and whatever else has two dimensions longer than one:
    embeddings, recurrent layers, projections of attention. Biases, norms, scales and single tokens are not, whatever
    shape their implementation gives them: [D, 1] and [1, D, 1] are lists of D numbers.
    """
    weights = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Linear | _ConvNd)}
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in module.parameters():
        is_matrix = sum(size > 1 for size in parameter.shape) >= 2
        (decayed if is_matrix or id(parameter) in weights else plain).append(parameter)
    return decayed, plain

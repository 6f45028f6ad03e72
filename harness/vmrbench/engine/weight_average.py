"""The exponential moving average of the weights, which is validated and kept in place of the last ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Follows a module: after each `update`, average = share * average + (1 - share) * weights.

    It starts from the weights of the module, without correction, and covers what its state dict holds: parameters and
    floating-point buffers; of other buffers it has the last value.

    Args:
        module: on the device it is trained on.
        share: 0..1, what the average keeps of itself; it remembers about 1 / (1 - share) updates.

    Source:
        Tarvainen and Valpola, Mean teachers are better role models, 2017.
    """

    def __init__(self, module: nn.Module, share: float) -> None:
        self._module, self._share = module, share
        self._average = {name: value.clone() for name, value in self._weights().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the weights."""
        for name, value in self._weights().items():
            mean = self._average[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1.0 - self._share)
            else:
                mean.copy_(value)

    @torch.no_grad()
    def exchange(self) -> None:
        """Put the average into the module and keep its weights here; a second call undoes the first."""
        for name, value in self._weights().items():
            kept = value.clone()
            value.copy_(self._average[name])
            self._average[name] = kept

    def state_dict(self) -> dict[str, Tensor]:
        """The average by name, for a checkpoint."""
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        for name, mean in self._average.items():
            mean.copy_(state[name])

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self._module.state_dict().items()}

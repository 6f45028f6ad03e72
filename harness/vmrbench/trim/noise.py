"""Noise that depends on the sample alone: the same on every device, in every batch, in every run."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

_BITS = 31
_MODULUS = 2**_BITS
_LEAST = 1e-6
# Below it a draw is as good as hard, and its gradient is noise.
_LOWEST_TEMPERATURE = 1e-2


def sample_uniform(sample_ids: Sequence[str], length: int, seed: int, like: Tensor) -> Tensor:
    """[B, length] numbers in (0, 1) drawn from (sample id, seed, position), on the device of `like`.

    An integer hash rather than a generator: a generator's draws would depend on batch neighbours and on the device.

    Source:
        The finaliser is of the family of Steele et al., Fast Splittable Pseudorandom Number Generators, 2014,
        cut to 31 bits.
    """
    keys = [zlib.crc32(f"{seed}:{name}".encode()) % _MODULUS for name in sample_ids]
    key = torch.tensor(keys, dtype=torch.long, device=like.device)[:, None]
    place = torch.arange(length, dtype=torch.long, device=like.device)[None]
    state = (key + (place + 1) * 0x1E3779B9) % _MODULUS
    for shift, factor in ((16, 0x05EBCA6B), (13, 0x42B2AE35), (16, 0x27D4EB2F)):
        state = ((state ^ (state >> shift)) * factor) % _MODULUS
    uniform: Tensor = ((state ^ (state >> 15)).to(torch.float64) + 0.5) / _MODULUS
    return uniform.to(torch.float32)


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise from uniform numbers in 0..1: added to logits, the greatest is a draw from their softmax."""
    return -torch.log(-torch.log(uniform.clamp(_LEAST, 1 - _LEAST)))


def hard_draws(logit: Tensor, temperature: float) -> Tensor:
    """0/1 of independent draws with the probabilities sigmoid(logit), with the gradient of their relaxation.

    Args:
        logit: any shape.
        temperature: of the relaxation; it does not change the probabilities.

    Source:
        Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017, straight through, for two classes.
    """
    noise = torch.rand_like(logit).clamp(_LEAST, 1 - _LEAST).logit()
    soft = ((logit + noise) / max(temperature, _LOWEST_TEMPERATURE)).sigmoid()
    return (soft > 0.5).to(soft.dtype) + (soft - soft.detach())

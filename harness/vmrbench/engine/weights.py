"""Weights of an arm as safetensors; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_weights(module: nn.Module, path: Path) -> str:
    """Write the state dict; returns the SHA-256 of the file."""
    save_file({name: value.detach().contiguous().clone() for name, value in module.state_dict().items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_weights(module: nn.Module, path: Path) -> None:
    """Read a state dict into `module`; every key and shape must fit."""
    module.load_state_dict(read_weights(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def start_from(arm: nn.Module, path: Path) -> tuple[str, ...]:
    """Begin from another arm's weights wherever name and shape agree.

    Returns:
        Names of the parameters of `arm` that keep their own initialisation (the selector's head, say).
    """
    state, found = arm.state_dict(), read_weights(path)
    taken = {name: found[name] for name, value in state.items() if name in found and found[name].shape == value.shape}
    arm.load_state_dict(taken, strict=False)
    return tuple(name for name in state if name not in taken)

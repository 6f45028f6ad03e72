"""Checkpoints of other implementations, read without running anything that is in them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vmrbench.errors import DataError

# Where a checkpoint keeps its weights; averaged ones first, because they are what their authors evaluate.
PARTS = ("model_ema", "model", "state_dict")
OPTIONS = ("opt", "args")
# Of nn.DataParallel, when a whole model was saved from inside it.
PARALLEL = "module."
# How a file of torch.save begins: as a zip archive, or as a pickle before torch 1.6.
MAGIC = (b"PK\x03\x04", b"\x80\x02")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint holds that we use.

    state: official name to tensor; part: the key it was found under, None where the file is a bare state dict;
    options: what the model was trained with, empty where the file does not say.
    """

    state: Mapping[str, Tensor]
    part: str | None
    options: Mapping[str, Any]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of `torch.save`: a state dict, or a mapping that holds one.

    Looked for under `model_ema`, `model` and `state_dict`, in this order. Nothing but tensors, plain data and
    `argparse.Namespace` is ever unpickled.

    Raises:
        DataError: no such file, cut short, not a checkpoint, or one that holds objects of other classes.
    """
    content = _load(path)
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a state dict or a mapping with one")
    part = next((name for name in PARTS if isinstance(content.get(name), Mapping)), None)
    state = content if part is None else content[part]
    odd = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if odd or not state:
        known = ", ".join(repr(name) for name in PARTS)
        found = f"{odd[0]!r} is no tensor" if odd else "it is empty"
        raise DataError(f"{path}: no state dict: {found}; expected names and tensors, alone or under {known}")
    options = {} if part is None else next((_plain(content[name]) for name in OPTIONS if name in content), {})
    return Checkpoint(state=_unwrapped(state), part=part, options=options)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give the path of a checkpoint")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            # Storages stay where they are read to, whatever device they were saved from.
            return torch.load(path, map_location=lambda storage, place: storage, weights_only=True)
    except Exception as error:  # Broken files make torch.load raise almost anything.
        raise DataError(f"{path}: {_reason(path, str(error))}") from error


def _reason(path: Path, message: str) -> str:
    foreign = re.search(r"GLOBAL ([\w.]+)", message)
    if foreign:
        return (
            f"holds an object of {foreign[1]!r}, which is never unpickled; where you trust the file, save its weights "
            "alone: torch.save({'model': checkpoint['model']}, PATH)"
        )
    with path.open("rb") as opened:
        begin = opened.read(4)
    return "is cut short or damaged; copy it again" if begin.startswith(MAGIC) else "is not a checkpoint of torch.save"


def _plain(options: Any) -> Mapping[str, Any]:
    return vars(options) if isinstance(options, argparse.Namespace) else dict(options or {})


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    wrapped = all(name.startswith(PARALLEL) for name in state)
    return {name.removeprefix(PARALLEL) if wrapped else name: value for name, value in state.items()}

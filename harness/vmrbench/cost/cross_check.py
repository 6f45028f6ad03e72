"""A second opinion on the multiply-adds: fvcore, which counts on a traced graph with formulas of its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from math import prod
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn

from vmrbench.cost.macs import count_macs, countable
from vmrbench.types import Batch

_NO_MACS = (
    "layer_norm",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "upsample_nearest2d",
    "upsample_bilinear2d",
    "adaptive_avg_pool2d",
    "grid_sampler",
)


@dataclass(frozen=True, kw_only=True)
class CrossCheck:
    """Two counts of the same call.

    macs: by fvcore; torch_macs: by torch; ratio: the first over the second, None where torch counts nothing;
    unsupported: operators fvcore has no handler for, with how often.
    """

    macs: int
    torch_macs: int
    ratio: float | None
    unsupported: Mapping[str, int]


def cross_check(module: nn.Module, batch: Batch) -> CrossCheck:
    """Count `module(batch)` with fvcore and with torch, on the CPU.

    fvcore traces tensors only: the batch is taken apart before the trace and put together inside it. What the module
    returns may be tensors in any nesting of dataclasses, mappings and sequences.

    Source:
        fvcore (it counts one multiply and add once), with handlers of our own for fused attention, baddbmm, LSTM
        and GRU; norms, pooling and interpolation count 0, as with torch.
    """
    names, tensors = _taken_apart(batch)
    traced = _FromTensors(module, batch, names)
    with _frozen(module), countable(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The tracer warns of every Python number made from a shape.
        analysis = FlopCountAnalysis(traced, tensors)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        analysis.set_op_handle(**_handlers())
        total = int(analysis.total())
        unsupported = dict(sorted(analysis.unsupported_ops().items()))
    expected = count_macs(module, batch).value
    return CrossCheck(
        macs=total, torch_macs=expected, ratio=total / expected if expected else None, unsupported=unsupported
    )


class _FromTensors(nn.Module):
    """Rebuilds a batch from its tensors and returns what the module made as a flat tuple of tensors."""

    def __init__(self, module: nn.Module, batch: Batch, names: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.module, self._batch, self._names = module, batch, names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        parts: dict[str, dict[str, Tensor]] = {"": {}, "extra": {}}
        for (group, name), tensor in zip(self._names, tensors, strict=True):
            parts[group][name] = tensor
        made = replace(self._batch, **parts[""], extra=parts["extra"])  # type: ignore[arg-type]  # names are fields
        return tuple(_tensors_of(self.module(made)))


def _taken_apart(batch: Batch) -> tuple[list[tuple[str, str]], tuple[Tensor, ...]]:
    found = [("", item.name, getattr(batch, item.name)) for item in fields(batch)]
    found += [("extra", name, value) for name, value in batch.extra.items()]
    kept = [(group, name, value) for group, name, value in found if isinstance(value, Tensor)]
    return [(group, name) for group, name, _ in kept], tuple(value for _, _, value in kept)


def _tensors_of(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for item in fields(value):
            yield from _tensors_of(getattr(value, item.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors_of(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors_of(part)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    learnt = [p for p in module.parameters() if p.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)


def _handlers() -> dict[str, Any]:
    handlers: dict[str, Any] = {f"aten::{name}": _nothing for name in _NO_MACS}
    handlers["aten::scaled_dot_product_attention"] = _attention_macs
    handlers["aten::baddbmm"] = _baddbmm_macs
    handlers["aten::lstm"] = handlers["aten::gru"] = _recurrent_macs
    return handlers


def _nothing(inputs: list[Any], outputs: list[Any]) -> int:
    return 0


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    query, key, value = (get_shape(item) for item in inputs[:3])
    return int(prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _baddbmm_macs(inputs: list[Any], outputs: list[Any]) -> int:
    left, right = get_shape(inputs[1]), get_shape(inputs[2])
    return int(prod(left) * right[-1])


def _recurrent_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Every weight matrix works once a step; the last list among the inputs holds weights and biases."""
    lists = [item for item in inputs if item.node().kind() == "prim::ListConstruct"]
    shapes = [get_shape(item) for item in lists[-1].node().inputs()]
    steps = prod(get_shape(inputs[0])[:-1])
    return int(steps * sum(prod(shape) for shape in shapes if shape is not None and len(shape) == 2))

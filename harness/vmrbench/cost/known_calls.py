"""What operators make of meta tensors, remembered, so that no shape is worked out twice.

A meta kernel is Python code that takes about a millisecond, and a model calls the same operators on the same shapes
again and again: layers are alike, passes are repeated, and what reads the query alone is the same for every video. A
meta tensor holds no numbers, so what comes out, and its count, depend on shapes, strides, types and options alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

META = torch.device("meta")
Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    """How a new meta tensor looks."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Made:
        """How `tensor` looks."""
        return cls(shape=tuple(tensor.shape), stride=tensor.stride(), dtype=tensor.dtype)

    def again(self) -> Tensor:
        """Another tensor that looks so."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=META)


@dataclass(frozen=True, kw_only=True)
class KnownCall:
    """What a call of an operator did: its flops, its name where it has no formula, and the tensors it made."""

    flops: int
    uncounted: str | None
    made: tuple[Made, ...]
    kind: type | None  # tuple or list, None for a bare tensor

    def again(self) -> Any:
        """New tensors like those that the call made."""
        tensors = [made.again() for made in self.made]
        return tensors[0] if self.kind is None else self.kind(tensors)


class KnownCalls:
    """Calls by operator and arguments; one object serves any number of counts."""

    def __init__(self) -> None:
        self._calls: dict[Key, KnownCall] = {}
        self._layers: dict[Key, Any] = {}

    def find(self, key: Key | None) -> KnownCall | None:
        """What is known of the call with this key, from `call_key`."""
        return None if key is None else self._calls.get(key)

    def keep(self, key: Key | None, out: Any, flops: int, uncounted: str | None) -> None:
        """Remember a call, if it has a key and made nothing but meta tensors."""
        tensors = tuple(out) if type(out) in (tuple, list) else (out,)
        if key is None or not all(_is_plain(item) for item in tensors):
            return
        made = tuple(map(Made.of, tensors))
        kind = None if isinstance(out, Tensor) else type(out)
        self._calls[key] = KnownCall(flops=flops, uncounted=uncounted, made=made, kind=kind)

    def layer(self, key: Key | None, work_out: Callable[[], Any]) -> Any:
        """What is known of a whole layer with this key, from `key_of`; worked out where nothing is."""
        if key is None:
            return work_out()
        if key not in self._layers:
            self._layers[key] = work_out()
        return self._layers[key]


def call_key(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Key | None:
    """What the result of a call depends on; None where it is more than shapes and options.

    That is so for views and for operators that change an argument, which share memory with it, and where a tensor is
    not a plain one on the meta device.
    """
    if not _makes_new(func):
        return None
    return key_of(func, *args, *kwargs.items())


def key_of(func: Any, *arguments: Any) -> Key | None:
    """`func` with shapes and options of its arguments; None where there is more to them."""
    try:
        return (func, *map(_part, arguments))
    except _NotOfShapesAlone:
        return None


class _NotOfShapesAlone(Exception):  # noqa: N818  # never leaves this module
    pass


@cache
def _makes_new(func: Any) -> bool:
    return not (func.is_view or func._schema.is_mutable)


_SCALARS = (int, float, bool, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)


def _part(value: Any) -> object:
    if isinstance(value, Tensor):
        if not _is_plain(value):
            raise _NotOfShapesAlone
        return value.shape, value.stride(), value.dtype
    if type(value) in _SCALARS:
        return type(value), value  # 1, 1.0 and True are equal, and give results of different types.
    if isinstance(value, (list, tuple)):
        return tuple(map(_part, value))
    raise _NotOfShapesAlone


def _is_plain(value: Any) -> bool:
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.device == META
        and value.layout == torch.strided
        and not value.is_complex()
    )

"""A small memory of what was read last, so that the queries of one video read its features once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# 256 MB: some 4,000 short videos with the narrow features of the simulation, a dozen hours with those of QVHighlights.
# Bounded in bytes, so that many long videos do not fill the memory of a machine.
REMEMBERED_BYTES = 2**28


class KeepLast(Generic[Key, Value]):
    """Calls `load` for a key that is not remembered; remembers what was used last, up to `capacity` bytes.

    The last value is remembered whatever its size.
    """

    def __init__(self, load: Callable[[Key], Value], capacity: int = REMEMBERED_BYTES) -> None:
        self._load = load
        self._capacity, self._held = capacity, 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def __call__(self, key: Key) -> Value:
        """The value of a key, loaded where it is not remembered."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._load(key)
        self._kept[key] = value
        self._held += _tensor_bytes(value)
        while self._held > self._capacity and len(self._kept) > 1:
            self._held -= _tensor_bytes(self._kept.popitem(last=False)[1])
        return value


def _tensor_bytes(value: Any) -> int:
    """Bytes of the tensors and arrays that a value is or holds, in its fields or as its parts."""
    if isinstance(value, Tensor | np.ndarray):
        return value.nbytes
    if is_dataclass(value):
        return sum(_tensor_bytes(getattr(value, item.name)) for item in fields(value))
    return sum(map(_tensor_bytes, value)) if isinstance(value, tuple | list) else 0

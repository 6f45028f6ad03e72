"""A small memory of what was read last, so that the queries of one video read its features once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class KeepLast(Generic[Key, Value]):
    """Calls `load` for a key that is not remembered; remembers the `capacity` keys used last."""

    def __init__(self, load: Callable[[Key], Value], capacity: int) -> None:
        self._load = load
        self._capacity = capacity
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def __call__(self, key: Key) -> Value:
        """The value of a key, loaded where it is not remembered."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        value = self._load(key)
        self._kept[key] = value
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return value

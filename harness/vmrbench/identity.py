"""What makes two runs the same run: canonical JSON and its SHA-256."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any


def canonical(value: Any) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, dataclasses as their fields, 1 and 1.0 told apart.

    Raises:
        ValueError: a float is not finite.
        TypeError: something that is not plain data, a path above all: it says where, never what.

    Example:
        >>> canonical({"b": (1, 2.0), "a": None})
        '{"a":null,"b":[1,2.0]}'
    """
    return json.dumps(_plain(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def identity_of_options(options: Any) -> dict[str, Any]:
    """The fields of an options dataclass that can change a result.

    Left out, in dataclasses inside options too: paths (see `path_fields`) and fields with the metadata
    `identity=False`.
    """
    paths = path_fields(type(options))
    return {
        item.name: _option(getattr(options, item.name), item.name)
        for item in dataclasses.fields(options)
        if item.name not in paths and item.metadata.get("identity", True)
    }


def path_fields(options: type) -> set[str]:
    """Names of the fields that hold paths: their type mentions `pathlib.Path`, or their metadata says `path=True`."""
    hints = typing.get_type_hints(options)
    marked = {item.name for item in dataclasses.fields(options) if item.metadata.get("path", False)}
    return marked | {name for name, hint in hints.items() if _mentions_path(hint)}


def _option(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return identity_of_options(value)
    if isinstance(value, (list, tuple)):
        return [_option(item, f"{where}[{place}]") for place, item in enumerate(value)]
    return _plain(value, where)


def _mentions_path(hint: Any) -> bool:
    return hint is Path or any(_mentions_path(part) for part in typing.get_args(hint))


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, where)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), f"{where}.{item.name}") for item in _fields(value)}
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} cannot be part of a run's identity; expected a finite number")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{where}: a {type(value).__name__} cannot be part of a run's identity; expected plain data")


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value)


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    raise TypeError(f"{where}: the key {key!r} is a {type(key).__name__}; expected text")

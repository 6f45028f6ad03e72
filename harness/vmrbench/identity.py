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

IF_CHANGED = "if changed"


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

    Left out, in dataclasses inside options too: paths (see `path_fields`), fields with the metadata `identity=False`,
    and fields with `identity="if changed"` that hold their default. The last is for an option that came later, with
    what was done before as its default: runs that were stored without it stay what they are.
    """
    paths = path_fields(type(options))
    return {
        item.name: _option(getattr(options, item.name), item.name)
        for item in dataclasses.fields(options)
        if item.name not in paths and _counts(item, getattr(options, item.name))
    }


def path_fields(options: type) -> set[str]:
    """Names of the fields that hold paths: their type mentions `pathlib.Path`, or their metadata says `path=True`."""
    hints = typing.get_type_hints(options)
    marked = {item.name for item in dataclasses.fields(options) if item.metadata.get("path", False)}
    return marked | {name for name, hint in hints.items() if _mentions_path(hint)}


def _counts(item: dataclasses.Field[Any], value: Any) -> bool:
    kept = item.metadata.get("identity", True)
    return value != item.default if kept == IF_CHANGED else bool(kept)


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

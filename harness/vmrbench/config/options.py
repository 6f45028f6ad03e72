"""Options of a plug-in: its dataclass, filled from plain values, strictly."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from vmrbench.config.mistakes import wrong_value
from vmrbench.errors import ConfigError, did_you_mean
from vmrbench.identity import path_fields


def make_options(
    spec: Any,
    preset: str | None,
    overrides: Mapping[str, Any],
    where: str,
    *,
    key_where: Callable[[str], str] | None = None,
) -> Any:
    """An options object of `spec`: its defaults, then the preset, then the overrides.

    Args:
        spec: any spec with `options` (a dataclass) and, for backbones and trimmers, `presets`.
        preset: name of a preset, or None.
        overrides: plain values by option name; a whole number is taken for a float, nothing else is converted.
        where: prefix of an error, such as `benchmarks.yaml:12: backbones[1].options`.
        key_where: the prefix for one option, where its own line is known.

    Raises:
        ConfigError: an unknown option or preset, a value of another type, an option that is missing.
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(spec, "presets", {})
    if preset is not None and preset not in presets:
        place = where.removesuffix(".options") + ".preset" if where.endswith(".options") else where
        raise ConfigError(f"{place}: {spec.name!r} has no preset {preset!r}{did_you_mean(preset, presets)}")
    values = {**(presets[preset] if preset is not None else {}), **overrides}
    return fill_dataclass(spec.options, values, key_where or under(where))


def fill_dataclass(kind: type, values: Mapping[str, Any], where: Callable[[str], str]) -> Any:
    """An object of the dataclass `kind` from plain values; see `make_options`.

    Args:
        kind: a dataclass; nested dataclasses are filled from mappings.
        values: plain values by field name.
        where: prefix of an error about a field, or about the whole where the field is "".

    Raises:
        ConfigError: see `make_options`; also a ValueError of the dataclass itself.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {item.name: item for item in dataclasses.fields(kind) if item.init}
    for key in values:
        if key not in fields:
            raise ConfigError(f"{where(key)}: unknown option{did_you_mean(key, fields)}")
    filled = {key: _value(hints[key], value, where(key)) for key, value in values.items()}
    for name, item in fields.items():
        if name not in filled and item.default is item.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where(name)}: not given, but it has no default; write it")
    try:
        return kind(**filled)
    except ValueError as error:
        raise ConfigError(f"{where('')}: {error}") from error


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Option values `above` over those `below`, inside dataclasses too."""
    both = {key: merged(below[key], above[key]) for key in above if _nested(below.get(key), above[key])}
    return {**below, **above, **both}


def under(where: str) -> Callable[[str], str]:
    """Prefixes of errors about the fields of what stands at `where`."""
    return lambda key: f"{where}.{key}" if key else where


def resolve_paths(kind: type, values: Mapping[str, Any], folder_of: Callable[[str], Path]) -> dict[str, Any]:
    """`values` with every relative path made absolute, in dataclasses inside options too.

    Args:
        kind: the options dataclass. A path of a dataclass inside it is relative to the folder of the option that its
            metadata names with `inside=`, where that option is given.
        values: plain values by option name.
        folder_of: the folder that the path of one option is relative to.
    """
    paths, hints = path_fields(kind), typing.get_type_hints(kind)
    done = {key: _absolute(value, folder_of(key)) if key in paths else value for key, value in values.items()}
    for key, value in values.items():
        inner = _dataclass_for(hints.get(key), value)
        if inner is not None:
            done[key] = _resolve_inside(inner, value, folder_of(key), done)
    return done


def _resolve_inside(kind: type, value: Any, folder: Path, outer: Mapping[str, Any]) -> Any:
    """`value` holds options of `kind`, or a list of them; `outer` are the options around it, resolved."""
    if isinstance(value, list):
        return [_resolve_inside(kind, item, folder, outer) for item in value]
    inside = {item.name: outer.get(item.metadata.get("inside", "")) for item in dataclasses.fields(kind)}
    return resolve_paths(kind, value, lambda key: Path(inside.get(key) or folder))


def _dataclass_for(hint: Any, value: Any) -> type | None:
    """The one dataclass that a mapping, or every mapping of a list, stands for; None where there is none."""
    parts = list(_parts(hint))
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        lists = [part for part in parts if typing.get_origin(part) in (list, tuple)]
        parts = [inner for part in lists for item in typing.get_args(part) for inner in _parts(item)]
    elif not isinstance(value, Mapping):
        return None
    found = [part for part in parts if isinstance(part, type) and dataclasses.is_dataclass(part)]
    return found[0] if len(found) == 1 else None


def _parts(hint: Any) -> Iterator[Any]:
    """The alternatives of a type: `A` and `B` of `A | B`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, typing.Annotated):
        for part in typing.get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def _value(hint: Any, value: Any, where: str) -> Any:
    inner = _dataclass_for(hint, value)
    if inner is not None and isinstance(value, Mapping):
        return fill_dataclass(inner, value, under(where))
    if inner is not None:
        items = [fill_dataclass(inner, item, under(f"{where}[{place}]")) for place, item in enumerate(value)]
        is_list = any(typing.get_origin(part) is list for part in _parts(hint))
        return items if is_list else tuple(items)
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_config(hint))
    try:
        # Through JSON, because strict checking of JSON knows that a YAML list may stand for a tuple, a text for a path.
        return adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        raise ConfigError(f"{where}: {wrong_value(error)}") from error
    except TypeError as error:
        raise ConfigError(f"{where}: found {value!r}, expected plain data") from error


def _config(hint: Any) -> ConfigDict | None:
    """Strictness; a dataclass brings its own configuration."""
    return None if dataclasses.is_dataclass(hint) else ConfigDict(strict=True, arbitrary_types_allowed=True)


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, str):
        return str(folder / Path(value).expanduser())
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    return value


def _nested(below: Any, above: Any) -> bool:
    return isinstance(below, Mapping) and isinstance(above, Mapping)

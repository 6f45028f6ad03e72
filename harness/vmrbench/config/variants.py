"""`each:` in a list entry: one entry for every value of an option, or for every combination of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from vmrbench.config.places import Document, KeyPath, Place
from vmrbench.errors import ConfigError

EACH = "each"
LISTS = ("datasets", "backbones", "trimmers")


def expand_each(document: Document) -> Document:
    """The document with every entry that has `each` replaced by its variants, whose ids end in `_<value>`.

    Raises:
        ConfigError: no list of plain values, or an option that `options` gives as well.
    """
    data, places = dict(document.data), dict(document.places)
    for kind in LISTS:
        entries = data.get(kind)
        if not isinstance(entries, list) or not any(isinstance(entry, dict) and entry.get(EACH) for entry in entries):
            continue
        known = {path: places.pop(path) for path in list(places) if path[0] == kind and len(path) > 1}
        expanded: list[Any] = []
        for number, entry in enumerate(entries):
            for variant in _variants(document, (kind, number), entry):
                places |= _moved(known, (kind, number), (kind, len(expanded)))
                expanded.append(variant)
        data[kind] = expanded
    return Document(data=data, places=places, whole=document.whole)


def _variants(document: Document, path: KeyPath, entry: Any) -> Iterator[Any]:
    if not isinstance(entry, dict) or not entry.get(EACH):
        yield entry
        return
    each, options = entry[EACH], entry.get("options") or {}
    at = (*path, EACH)
    if not isinstance(each, dict):
        raise ConfigError(f"{document.where(at)}: found {each!r}, expected options with lists of values")
    for option, values in each.items():
        where = document.where((*at, option))
        if not isinstance(values, list) or not values or any(isinstance(value, dict | list) for value in values):
            raise ConfigError(f"{where}: found {values!r}, expected a list of plain values, such as [0.5, 0.25]")
        if isinstance(options, dict) and option in options:
            raise ConfigError(f"{where}: 'options' gives {option!r} too; leave one of them out")
    rest = {key: value for key, value in entry.items() if key != EACH}
    label = entry.get("id") or entry.get("name")
    for values in product(*each.values()):
        ending = "_".join(_text(value) for value in values)
        yield {**rest, "id": f"{label}_{ending}", "options": {**options, **dict(zip(each, values, strict=True))}}


def _text(value: Any) -> str:
    return "none" if value is None else str(value).lower()


def _moved(known: Mapping[KeyPath, Place], old: KeyPath, new: KeyPath) -> dict[KeyPath, Place]:
    """Places of one entry under its new number; an option that `each` gives is where `each` names it."""
    moved: dict[KeyPath, Place] = {}
    for path, place in known.items():
        if path[:2] == old:
            rest = path[2:]
            moved[(*new, *(("options", *rest[1:2]) if rest[:1] == (EACH,) and len(rest) > 1 else rest))] = place
    return moved

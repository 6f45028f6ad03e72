"""`--set a.b=c` on a document: keys, list positions or the ids of list items, then a YAML value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmrbench.config.document import forget, parse_value
from vmrbench.config.places import Document, KeyPath, Place, key_text
from vmrbench.errors import ConfigError, did_you_mean


def apply_sets(document: Document, sets: Sequence[str]) -> Document:
    """The document with every `key.path=value` applied in turn; relative paths in values are the shell's.

    Raises:
        ConfigError: no `=`, a list item that is not there, a key under something that is not a mapping.
    """
    for text in sets:
        place = Place(source=f"--set {text}", folder=Path.cwd())
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"{place}: expected KEY=VALUE, such as train.batch_size=8")
        document = _set(document, key, parse_value(value, place), place)
    return document


def _set(document: Document, key: str, value: Any, place: Place) -> Document:
    data = _copied(document.data)
    node: Any = data
    parts: list[str | int] = []
    words = _words(key, data)
    for word in words[:-1]:
        step = _step(node, word, tuple(parts), place)
        if isinstance(node, dict) and node.get(step) is None:
            node[step] = {}
        node = node[step]
        parts.append(step)
    last = _step(node, words[-1], tuple(parts), place)
    node[last] = value
    path = (*parts, last)
    places = dict(document.places)
    forget(places, path)
    places[path] = place
    return Document(data=data, places=places, whole=document.whole)


def _words(key: str, data: Any) -> list[str]:
    """The steps of a key. Ids of list items may hold dots themselves, so the longest known one is taken."""
    words: list[str] = []
    node = data
    rest = key.split(".")
    while rest:
        taken = 1
        if isinstance(node, list):
            labels = set(_labels(node))
            taken = next((n for n in range(len(rest), 0, -1) if ".".join(rest[:n]) in labels), 1)
        word = ".".join(rest[:taken])
        words.append(word)
        rest = rest[taken:]
        node = _child(node, word)
    return words


def _child(node: Any, word: str) -> Any:
    if isinstance(node, dict):
        return node.get(word)
    if isinstance(node, list):
        labels = _labels(node)
        if word in labels:
            return node[labels.index(word)]
        if word.isdigit() and int(word) < len(node):
            return node[int(word)]
    return None


def _step(node: Any, word: str, parts: KeyPath, place: Place) -> str | int:
    if isinstance(node, dict):
        return word
    if not isinstance(node, list):
        raise ConfigError(f"{place}: {key_text(parts)} holds {node!r}, which has no key {word!r}")
    labels = _labels(node)
    if word in labels:
        return labels.index(word)
    if word.isdigit() and int(word) < len(node):
        return int(word)
    raise ConfigError(
        f"{place}: {key_text(parts)} has no item {word!r}{did_you_mean(word, [label for label in labels if label])}"
    )


def _labels(items: list[Any]) -> list[str | None]:
    return [item.get("id") or item.get("name") if isinstance(item, dict) else None for item in items]


def _copied(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copied(value) for key, value in node.items()}
    return [_copied(item) for item in node] if isinstance(node, list) else node

"""Reading a YAML file as plain data with line numbers; `inherit:` and duplicate keys are dealt with here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from vmrbench.config.places import Document, KeyPath, Place, key_text
from vmrbench.errors import ConfigError

INHERIT = "inherit"


def read_document(path: Path, chain: tuple[Path, ...] = ()) -> Document:
    """Read a YAML file and what it inherits; its own keys win, mappings are merged, lists are replaced.

    Raises:
        ConfigError: unreadable, not YAML, a duplicate key, a value that is not plain data, a circle of `inherit`.
    """
    own = parse_document(_text(path), Place(source=str(path), folder=path.resolve().parent))
    base = own.data.pop(INHERIT, None)
    if base is None:
        return own
    where = own.where((INHERIT,))
    if not isinstance(base, str):
        raise ConfigError(f"{where}: found {base!r}, expected the path of another YAML file")
    chain = (*chain, path.resolve())
    parent = path.parent / base
    if parent.resolve() in chain:
        circle = " -> ".join(link.name for link in (*chain, parent.resolve()))
        raise ConfigError(f"{where}: files inherit from one another in a circle: {circle}")
    if not parent.is_file():
        raise ConfigError(f"{where}: there is no file {str(parent)!r}")
    return merge(read_document(parent, chain), own)


def parse_document(text: str, whole: Place) -> Document:
    """Parse YAML 1.2 text written at `whole`; line numbers count from 1.

    Raises:
        ConfigError: see `read_document`.
    """
    try:
        tree = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        raise ConfigError(f"{_at(whole, error)}: {_first_line(error)}; keep one of them") from error
    except MarkedYAMLError as error:
        raise ConfigError(f"{_at(whole, error)}: not valid YAML: {_first_line(error)}") from error
    except YAMLError as error:
        raise ConfigError(f"{whole}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, CommentedMap):
        found = "nothing" if tree is None else f"a {_kind(tree)}"
        raise ConfigError(f"{whole}: found {found}, expected keys such as 'datasets:' and 'backbones:'")
    places: dict[KeyPath, Place] = {}
    return Document(data=_plain(tree, (), whole, places), places=places, whole=whole)


def parse_value(text: str, whole: Place) -> Any:
    """The plain value of a piece of YAML, such as the right side of `--set a=1`."""
    return parse_document(f"value: {text}\n" if text else "value:\n", whole).data["value"]


def merge(base: Document, own: Document) -> Document:
    """`own` over `base`: mappings are merged key by key, everything else is replaced."""
    places = dict(base.places)
    data = _merged(base.data, own.data, (), places)
    return Document(data=data, places=places | dict(own.places), whole=own.whole)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any], path: KeyPath, places: dict[KeyPath, Place]) -> Any:
    result = dict(base)
    for key, value in own.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merged(old, value, (*path, key), places)
        else:
            forget(places, (*path, key))
            result[key] = value
    return result


def forget(places: dict[KeyPath, Place], path: KeyPath) -> None:
    """Drop the places of `path` and of everything under it, because it is about to be replaced."""
    for known in [known for known in places if known[: len(path)] == path]:
        del places[known]


def _plain(node: Any, path: KeyPath, at: Place, places: dict[KeyPath, Place]) -> Any:
    """`node` without ruamel's types; fills `places`."""
    if isinstance(node, CommentedMap):
        result = {}
        for key, value in node.items():
            if not isinstance(key, str):
                raise ConfigError(f"{at}: {key_text(path) or 'top'}: the key {key!r} is not text; quote it")
            here = _place(at, node.lc.key(key) if key in (node.lc.data or {}) else None)
            places[(*path, key)] = here
            result[key] = _plain(value, (*path, key), here, places)
        return result
    if isinstance(node, CommentedSeq):
        items = []
        for number, value in enumerate(node):
            here = _place(at, node.lc.item(number))
            places[(*path, number)] = here
            items.append(_plain(value, (*path, number), here, places))
        return items
    return _scalar(node, f"{at}: {key_text(path)}")


def _scalar(node: Any, where: str) -> Any:
    if node is None or isinstance(node, bool):
        return node
    for plain in (int, float, str):
        if isinstance(node, plain):
            value: Any = plain(node)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{where}: found {value}, expected a finite number")
            return value
    raise ConfigError(f"{where}: found a {_kind(node)}, expected text, a number, true, false or null; quote it")


def _place(at: Place, position: tuple[int, int] | None) -> Place:
    if position is None or at.source.startswith("--"):
        return at
    return Place(source=at.source, folder=at.folder, line=position[0] + 1)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file; give the path of a YAML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _at(whole: Place, error: MarkedYAMLError) -> Place:
    mark = error.problem_mark or error.context_mark
    return whole if mark is None else _place(whole, (mark.line, mark.column))


def _first_line(error: MarkedYAMLError) -> str:
    return str(error.problem or error).strip().splitlines()[0]


def _kind(node: Any) -> str:
    names = {"CommentedSeq": "list", "TaggedScalar": "tagged value", "CommentedMap": "mapping"}
    return names.get(type(node).__name__, type(node).__name__)

"""Pydantic's findings in our words: one line that says what was found, what was expected, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from vmrbench.config.places import KeyPath
from vmrbench.errors import ConfigError, did_you_mean

_EXPECTED = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
}
_UNKNOWN = {"extra_forbidden", "unexpected_keyword_argument"}
_CHOICES = {"device": "'auto', 'cpu', 'cuda' or 'cuda:0'", "id": "letters a-z, digits, '_', '.' and '-'"}


def first_mistake(
    error: ValidationError, where: Callable[[KeyPath], str], known: Callable[[KeyPath], Iterable[str]]
) -> ConfigError:
    """The first mistake of a validation, unknown keys first: a misspelt key often causes the others.

    Args:
        error: what pydantic found.
        where: prefix of an error about a key path.
        known: the keys allowed beside a key path.
    """
    found = sorted(error.errors(include_url=False), key=lambda item: item["type"] not in _UNKNOWN)
    first = found[0]
    path = tuple(first["loc"])
    more = f" (and {len(found) - 1} more)" if _distinct(found) > 1 else ""
    if first["type"] in _UNKNOWN:
        return ConfigError(f"{where(path)}: unknown key{did_you_mean(str(path[-1]), known(path))}{more}")
    return ConfigError(f"{where(path)}: {_sentence(first, path)}{more}")


def wrong_value(error: ValidationError) -> str:
    """What is wrong with one value, without where."""
    first = error.errors(include_url=False)[0]
    inside = "".join(f"[{part}]" for part in first["loc"] if isinstance(part, int))
    return f"{'item ' + inside + ': ' if inside else ''}{_sentence(first, ())}"


def _sentence(item: Mapping[str, Any], path: KeyPath) -> str:
    found, kind = item.get("input"), str(item["type"])
    if kind == "missing":
        return "not given, but it has no default; write it"
    if kind in {"float_type", "int_type"} and isinstance(found, str) and _is_number(found):
        return f"{found!r} is read as text by YAML; write {_as_number(found)}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", item["ctx"]["expected"])
        return f"found {found!r}, expected one of {', '.join(choices)}{_near(found, choices)}"
    if kind == "string_pattern_mismatch" and path:
        return f"found {found!r}, expected {_CHOICES.get(str(path[-1]), item['ctx']['pattern'])}"
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"found {_short(found)}, expected {_EXPECTED.get(kind, message)}"


def _near(found: Any, choices: list[str]) -> str:
    hint = did_you_mean(str(found), choices)
    return hint if "did you mean" in hint else ""


def _distinct(found: Iterable[Mapping[str, Any]]) -> int:
    return len({tuple(item["loc"]) for item in found})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _as_number(text: str) -> str:
    """How to write the number so that every YAML reader takes it for one: `1.0e-4`."""
    return re.sub(r"^([-+]?\d+)([eE])", r"\1.0\2", text.strip())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Reads annotation files as text and as JSON, safely: no damage of a file is more than a DataError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.values import shown
from vmrbench.errors import DataError


def read_text(path: Path, what: str = "annotations") -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Raises DataError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {what} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error


def parse_json(text: str, where: str, expected: str) -> Any:
    """A JSON value. An object with one key twice is refused: the first of the two would be lost in silence.

    Raises:
        DataError: the text is no JSON, is nested too deeply, or has a key twice; expected: what it should be.
    """
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}" if "\n" in text.strip() else f"column {error.colno}"
        raise DataError(f"{where}: not JSON ({error.msg}, {at}); {expected} expected") from error
    except RepeatedKeyError as error:
        raise DataError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:  # A number of thousands of digits; thousands of brackets.
        raise DataError(f"{where}: not JSON that can be read ({type(error).__name__}); {expected} expected") from error


class RepeatedKeyError(ValueError):
    """A key that comes twice in one object."""


def load_json(text: str) -> Any:
    """As `json.loads`, but an object with one key twice raises RepeatedKeyError."""
    return json.loads(text, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise RepeatedKeyError(f"key {shown(repeated)} comes twice in one object; rename or remove one")
    return made

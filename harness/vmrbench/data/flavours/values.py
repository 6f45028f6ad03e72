"""Checks of single values of annotation files, and the query that every flavour is read into."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vmrbench.errors import DataError

Window = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenQuery:
    """One query as its file writes it, in seconds: of the right types, but not yet checked for defects.

    where: file, line and query, the beginning of an error about it; sentence: blank where the file has none;
    duration: of the video, above 0; windows: (start, end) as they stand, reversed ones too, none where the file gives
    no truth; window_key: the key that holds them, numbered where it holds a list of them; extra: further keys, with the
    id as written under `qid`.
    """

    where: str
    sample_id: str
    video_id: str
    sentence: str
    duration: float
    windows: tuple[Window, ...]
    window_key: str
    numbered: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def place(self, position: int) -> str:
        """Where the window of that position stands."""
        return f"{self.where}: {self.window_key}" + (f"[{position}]" if self.numbered else "")


class _Short(reprlib.Repr):
    """Values quoted in messages: short, on one line, however large or deep they are."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = self.maxlong = 60


shown = _Short().repr


def is_number(value: object) -> bool:
    """Whether a value of a JSON file is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def number(value: object, place: str, unit: str = "seconds") -> float:
    """A finite number. Raises DataError for anything else."""
    if not is_number(value):
        raise DataError(f"{place}: {shown(value)} found, a finite number of {unit} expected")
    return float(value)  # type: ignore[arg-type]  # Checked by is_number.


def positive(value: object, place: str, unit: str = "seconds") -> float:
    """A finite number above 0. Raises DataError for anything else."""
    checked = number(value, place, unit)
    if checked <= 0:
        raise DataError(f"{place}: {checked} found, more than 0 {unit} expected")
    return checked


def quotient(value: float, rate: float, place: str) -> float:
    """`value / rate`. Raises DataError where a float cannot hold it."""
    result = value / rate
    if not math.isfinite(result):
        raise DataError(f"{place}: {value} over {rate} is no number of seconds; mend the file")
    return result


def text(value: object, place: str) -> str:
    """Text that is not blank and can be written as UTF-8. Raises DataError for anything else."""
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}: {shown(value)} found, text expected")
    return _encodable(value, place)


def sentence(value: object, place: str) -> str:
    """Text, blank where it is missing: whether that is allowed is a matter of policy. Raises DataError for the rest."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{place}: {shown(value)} found, text expected")
    return _encodable(value, place)


def query_id(value: object, place: str) -> int | str:
    """A whole number or text, as written. Raises DataError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise DataError(f"{place}: {shown(value)} found, a whole number or text expected")
    return _encodable(value, place) if isinstance(value, str) else value


def mapping(value: object, place: str, expected: str) -> Mapping[str, Any]:
    """A JSON object. Raises DataError for anything else; expected: what its keys are, for the message."""
    if not isinstance(value, dict):
        raise DataError(f"{place}: {kind_of(value)} found, an object with {expected} expected")
    return value


def listed(value: object, place: str, expected: str) -> list[Any]:
    """A JSON array. Raises DataError for anything else; expected: of what, for the message."""
    if not isinstance(value, list):
        raise DataError(f"{place}: {shown(value)} found, a list of {expected} expected")
    return value


def kind_of(value: object) -> str:
    """What a value is, with its article."""
    return f"a {type(value).__name__}" if value is not None else "null"


def required(row: Mapping[str, Any], key: str, place: str) -> Any:
    """The value of a key. Raises DataError where it is missing."""
    if key not in row:
        raise DataError(f"{place}: key {key!r} is missing; found {', '.join(map(shown, row)) or 'no key'}")
    return row[key]


def pair(value: object, place: str, unit: str = "seconds") -> Window:
    """Two finite numbers in any order. Raises DataError for anything else."""
    if not isinstance(value, list) or len(value) != 2:
        raise DataError(f"{place}: {shown(value)} found, [start, end] in {unit} expected")
    return number(value[0], place, unit), number(value[1], place, unit)


def _encodable(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {shown(value)} holds half a character; mend the file") from error
    return value

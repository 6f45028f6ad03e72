"""Reads annotation files: one JSON object a line, the schema that moment_detr began (`qid`, `query`, `vid`, …)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from vmrbench.errors import DataError
from vmrbench.types import Annotation

REQUIRED = ("qid", "query", "vid", "duration", "relevant_windows")
ROUNDING_SECONDS = 0.1  # published files round times to a tenth; a window may end so much after the video
WindowPolicy = Literal["error", "clip"]


def read_annotations(path: Path, *, windows_beyond: WindowPolicy = "error") -> list[Annotation]:
    """Read every query of a file, in the order of the file.

    `qid` may be a number or text: the sample id is its text, `extra["qid"]` keeps it as written, and so do unknown
    keys. With `windows_beyond="clip"` windows are cut to the video, counted in `extra["windows_cut"]`.

    Raises:
        DataError: the file cannot be read or holds no query; a line is not a JSON object, lacks a key or has a value
            of the wrong type; a qid comes twice; a window has no length, is reversed, or lies beyond the video.
    """
    annotations: list[Annotation] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        annotation = _annotation(_parse(line, f"{path}:{number}"), f"{path}:{number}", windows_beyond)
        first = line_of.setdefault(annotation.sample_id, number)
        if first != number:
            raise DataError(
                f"{path}:{number}: qid {annotation.sample_id!r} is that of line {first} too; give every query its own"
            )
        annotations.append(annotation)
    if not annotations:
        raise DataError(f"{path}: no query in the file; one JSON object a line expected")
    return annotations


def count_cut_windows(annotations: Sequence[Annotation]) -> int:
    """Windows that were cut to their video while reading."""
    return sum(int(a.extra.get("windows_cut", 0)) for a in annotations)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: annotations cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error


def _parse(line: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error.msg}, column {error.colno}); one object a line expected") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: a {type(row).__name__} found, an object with 'qid', 'query', … expected")
    query = f", qid {row['qid']!r}" if "qid" in row else ""
    for key in REQUIRED:
        if key not in row:
            raise DataError(f"{where}{query}: key {key!r} is missing; found {', '.join(map(repr, row)) or 'no key'}")
    return row


def _annotation(row: Mapping[str, Any], where: str, policy: WindowPolicy) -> Annotation:
    qid = row["qid"]
    if isinstance(qid, bool) or not isinstance(qid, int | str) or qid == "":
        raise DataError(f"{where}: qid: {qid!r} found, a whole number or text expected")
    where = f"{where}, qid {qid!r}"
    duration = _number(row["duration"], f"{where}: duration")
    if duration <= 0:
        raise DataError(f"{where}: duration: {duration} found, more than 0 seconds expected")
    moments, cut = _windows(row["relevant_windows"], duration, where, policy)
    extra = {key: value for key, value in row.items() if key not in REQUIRED or key == "qid"}
    if cut:
        extra["windows_cut"] = cut
    return Annotation(
        sample_id=str(qid),
        video_id=_text(row["vid"], f"{where}: vid"),
        sentence=_text(row["query"], f"{where}: query"),
        duration=duration,
        moments=moments,
        extra=extra,
    )


def _windows(
    value: object, duration: float, where: str, policy: WindowPolicy
) -> tuple[tuple[tuple[float, float], ...], int]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: relevant_windows: {value!r} found, a list of [start, end] expected")
    moments: list[tuple[float, float]] = []
    cut = 0
    for position, window in enumerate(value):
        place = f"{where}: relevant_windows[{position}]"
        start, end = _window(window, place)
        if (start < -ROUNDING_SECONDS or end > duration + ROUNDING_SECONDS) and policy == "error":
            raise DataError(
                f"{place}: {window} lies beyond the video of {duration} s; mend the file or set windows_beyond: clip"
            )
        cut += start < -ROUNDING_SECONDS or end > duration + ROUNDING_SECONDS
        start, end = max(start, 0.0), min(end, duration)
        if start >= end:
            raise DataError(f"{place}: {window} leaves nothing in the video of {duration} s; mend or remove the query")
        moments.append((start, end))
    return tuple(moments), cut


def _window(window: object, place: str) -> tuple[float, float]:
    if not isinstance(window, list) or len(window) != 2:
        raise DataError(f"{place}: {window!r} found, [start, end] in seconds expected")
    start, end = (_number(value, place) for value in window)
    if end < start:
        raise DataError(f"{place}: {window} ends before it starts; swap the times or remove the query")
    if end == start:
        raise DataError(f"{place}: {window} has no length; mend the times or remove the query")
    return start, end


def _number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{place}: {value!r} found, a finite number of seconds expected")
    return float(value)


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}: {value!r} found, text expected")
    return value

"""Durations of videos from files of their own: the csv of Charades, or JSON by video name."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vmrbench.data.flavours.documents import parse_json, read_text
from vmrbench.data.flavours.values import mapping, positive, required, shown, text
from vmrbench.errors import DataError

DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
EXPECTED = "a csv with columns 'id' and 'length', or JSON {video: {\"duration\": seconds}}"


def read_durations(paths: Iterable[Path]) -> dict[str, float]:
    """Seconds by video name, from one or several files.

    Raises:
        DataError: a file cannot be read or is neither kind, a value is no positive number, or two entries of one
            video differ.
    """
    found: dict[str, float] = {}
    for path in paths:
        for where, video, seconds in _entries(path):
            if found.setdefault(video, seconds) != seconds:
                raise DataError(f"{where}: duration {seconds} found, but {found[video]} was read before; keep one")
    return found


class Durations:
    """Durations that are there when asked for, or one clear error."""

    def __init__(self, paths: tuple[Path, ...], needed_by: str) -> None:
        if not paths:
            raise DataError(f"{needed_by}: the file holds no durations; set durations: {EXPECTED}")
        self._paths = paths
        self._seconds: Mapping[str, float] = read_durations(paths)

    def of(self, video: str, where: str) -> float:
        """Seconds of a video. Raises DataError where no file has it."""
        if video not in self._seconds:
            files = ", ".join(str(path) for path in self._paths)
            raise DataError(f"{where}: no duration of {shown(video)} in {files} ({len(self._seconds)} videos)")
        return self._seconds[video]


def decimal(value: str, place: str) -> float:
    """A number written with digits and a point. Raises DataError for anything else, `nan` and `1_0` too."""
    if not DECIMAL.fullmatch(value):
        raise DataError(f"{place}: {shown(value)} found, a number of seconds expected")
    seconds = float(value)
    if not math.isfinite(seconds):  # Some hundreds of digits are infinite.
        raise DataError(f"{place}: {shown(value)} is no number of seconds")
    return seconds


def _entries(path: Path) -> Iterator[tuple[str, str, float]]:
    content = read_text(path, "durations")
    if content.lstrip().startswith("{"):
        document = mapping(parse_json(content, str(path), EXPECTED), str(path), "durations by video")
        for video, entry in document.items():
            where = f"{path}, video {shown(video)}"
            value = required(entry, "duration", where) if isinstance(entry, dict) else entry
            yield where, text(video, f"{path}: video name"), positive(value, f"{where}: duration")
        return
    yield from _csv_entries(path, content)


def _csv_entries(path: Path, content: str) -> Iterator[tuple[str, str, float]]:
    try:
        rows = csv.DictReader(io.StringIO(content, newline=""))
        if not {"id", "length"} <= set(rows.fieldnames or ()):
            raise DataError(f"{path}: {shown(rows.fieldnames)} found as columns; {EXPECTED} expected")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            seconds = decimal(row["length"] or "", f"{where}: length")
            yield where, text(row["id"], f"{where}: id"), positive(seconds, f"{where}: length")
    except csv.Error as error:
        raise DataError(f"{path}: not a csv file ({error}); {EXPECTED} expected") from error

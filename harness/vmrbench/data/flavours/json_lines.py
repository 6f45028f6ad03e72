"""QVHighlights and the "tvr format": one JSON object a line. Source: jayleicn/moment_detr, data/README.md (schema)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.documents import parse_json
from vmrbench.data.flavours.values import (
    Window,
    WrittenQuery,
    is_number,
    kind_of,
    listed,
    pair,
    positive,
    query_id,
    required,
    sentence,
    shown,
    text,
)
from vmrbench.errors import DataError

REQUIRED = ("qid", "query", "vid", "duration")
WINDOWS = "relevant_windows"
CLIP_SECONDS = 2.0  # of `relevant_clip_ids`, fixed by QVHighlights


def rows_of(path: Path, content: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every line's object with its place, blank lines left out. Raises DataError for a line that holds no object."""
    # Not splitlines: a sentence may hold a line separator of Unicode.
    for line_number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            where = f"{path}:{line_number}"
            row = parse_json(line, where, "one object a line")
            if not isinstance(row, dict):
                raise DataError(f"{where}: {kind_of(row)} found, an object with 'qid', 'query', … expected")
            yield where, row


def read_json_lines(path: Path, content: str) -> Iterator[WrittenQuery]:
    """The queries of a file in moment_detr's schema; a line without `relevant_windows`, or with null, has no truth.

    Raises:
        DataError: a line is no object, lacks a key, has a value of the wrong type, or its highlights do not fit.
    """
    for where, row in rows_of(path, content):
        yield _query(where, row)


def windows_of(value: object, where: str, key: str) -> tuple[Window, ...]:
    """A list of [start, end] in seconds; null is an empty one. Raises DataError for anything else."""
    if value is None:
        return ()
    found = listed(value, f"{where}: {key}", "[start, end]")
    return tuple(pair(window, f"{where}: {key}[{place}]") for place, window in enumerate(found))


def _query(where: str, row: Mapping[str, Any]) -> WrittenQuery:
    identified = f"{where}, qid {shown(row['qid'])}" if "qid" in row else where
    for key in REQUIRED:
        required(row, key, identified)
    written = query_id(row["qid"], f"{where}: qid")
    duration = positive(row["duration"], f"{identified}: duration")
    _check_highlights(row, duration, identified)
    return WrittenQuery(
        where=identified,
        sample_id=str(written),
        video_id=text(row["vid"], f"{identified}: vid"),
        sentence=sentence(row["query"], f"{identified}: query"),
        duration=duration,
        windows=windows_of(row.get(WINDOWS), identified, WINDOWS),
        window_key=WINDOWS,
        numbered=True,
        extra={key: value for key, value in row.items() if key not in (*REQUIRED, WINDOWS) or key == "qid"},
    )


def _check_highlights(row: Mapping[str, Any], duration: float, where: str) -> None:
    clips, scores = row.get("relevant_clip_ids"), row.get("saliency_scores")
    place = f"{where}: relevant_clip_ids"
    for clip in listed(clips, place, "clip numbers") if clips is not None else ():
        if isinstance(clip, bool) or not isinstance(clip, int) or not 0 <= clip < duration / CLIP_SECONDS:
            raise DataError(f"{place}: {shown(clip)} found, the number of a 2 s clip of the video expected")
    if scores is None:
        return
    place = f"{where}: saliency_scores"
    for item in listed(scores, place, "lists, a score by rater"):
        if not isinstance(item, list) or len(item) != len(scores[0]) or not all(map(is_number, item)):
            raise DataError(f"{place}: {shown(item)} found, a list with a score by rater expected")
    if clips is None or len(clips) != len(scores):
        raise DataError(f"{place}: {len(scores)} found, one for each of relevant_clip_ids expected; mend the line")

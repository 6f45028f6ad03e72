"""DiDeMo: a list of queries, each with the five-second chunks that four or more annotators chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.values import (
    WrittenQuery,
    listed,
    mapping,
    query_id,
    required,
    sentence,
    shown,
    text,
)
from vmrbench.errors import DataError

CHUNK_SECONDS = 5.0
MOST_CHUNKS = 10_000  # Real files have 5 or 6; a number no video can have is damage.
READ = ("annotation_id", "description", "video", "times")


def read_didemo(path: Path, document: list[Any]) -> Iterator[WrittenQuery]:
    """The queries. The truth is the choice of most annotators, of equals the one given first; chunk n covers 5n to
    5n + 5 s and the video lasts 5 s a chunk (its last chunk may in fact be shorter).

    All choices stay in `extra["times"]`: the official evaluator averages the best three of four.

    Raises:
        DataError: an item lacks a key, a value has the wrong type, or a choice is no pair of chunks of the video.
    """
    for position, item in enumerate(document):
        place = f"{path}, item {position}"
        row = mapping(item, place, "'annotation_id', 'description', 'video', 'times'")
        written = query_id(required(row, "annotation_id", place), f"{place}: annotation_id")
        where = f"{path}, annotation_id {shown(written)}"
        segments = required(row, "num_segments", where)
        if isinstance(segments, bool) or not isinstance(segments, int) or not 0 < segments <= MOST_CHUNKS:
            raise DataError(f"{where}: num_segments: {shown(segments)} found, a number of 5 s chunks expected")
        first, last = _choice(row, segments, where)
        yield WrittenQuery(
            where=where,
            sample_id=str(written),
            video_id=text(required(row, "video", where), f"{where}: video"),
            sentence=sentence(required(row, "description", where), f"{where}: description"),
            duration=segments * CHUNK_SECONDS,
            windows=((first * CHUNK_SECONDS, (last + 1) * CHUNK_SECONDS),),
            window_key="times",
            extra={**_others(row), "times": row["times"], "qid": written},
        )


def _choice(row: Mapping[str, Any], segments: int, where: str) -> tuple[int, int]:
    choices = listed(required(row, "times", where), f"{where}: times", "[first chunk, last chunk]")
    if not choices:
        raise DataError(f"{where}: times: no annotator's choice found, one or more expected")
    for position, choice in enumerate(choices):
        if not _are_chunks(choice) or not 0 <= choice[0] <= choice[1] < segments:
            raise DataError(
                f"{where}: times[{position}]: {shown(choice)} found, [first, last] of {segments} chunks expected"
            )
    (first, last), _ = Counter(map(tuple, choices)).most_common(1)[0]
    return first, last


def _others(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in READ}


def _are_chunks(choice: Any) -> bool:
    whole = isinstance(choice, list) and len(choice) == 2
    return whole and all(isinstance(chunk, int) and not isinstance(chunk, bool) for chunk in choice)

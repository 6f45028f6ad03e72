"""What ActivityNet Captions, TACoS and their relatives share: `timestamps` and `sentences` side by side, by video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.values import WrittenQuery, listed, mapping, pair, quotient, required, sentence, shown, text
from vmrbench.errors import DataError

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How the times of one video are meant: its duration in seconds, and how many units of its times are a second."""

    duration: float
    units_per_second: float = 1.0
    unit: str = "seconds"


def read_columns(
    path: Path,
    document: Mapping[str, Any],
    clock: Callable[[Entry, str], Clock],
    *,
    window_key: str = "timestamps",
    name_of: Callable[[Entry, str, str, int], str] | None = None,
) -> Iterator[WrittenQuery]:
    """The queries of a file `{video: {timestamps: [...], sentences: [...], ...}}`, in its order.

    Args:
        path: of the file, for messages.
        document: its content.
        clock: how the times of an entry are meant; is given the entry and its place.
        window_key: the key that holds the times.
        name_of: the id of a query from entry, its place, video and position; `<video>_<position>` without it.

    Raises:
        DataError: an entry is no object, lacks a key, its lists differ in length, or a value has the wrong type.
    """
    for video, value in document.items():
        where = f"{path}, video {shown(video)}"
        entry = mapping(value, where, f"{window_key!r} and 'sentences'")
        text(video, f"{path}: video name")
        windows = listed(required(entry, window_key, where), f"{where}: {window_key}", "[start, end]")
        sentences = listed(required(entry, "sentences", where), f"{where}: sentences", "text")
        if len(windows) != len(sentences):
            raise DataError(
                f"{where}: {len(windows)} {window_key} and {len(sentences)} sentences found, as many of both expected"
            )
        timing = clock(entry, where)
        for position, words in enumerate(sentences):
            place = f"{where}: {window_key}[{position}]"
            start, end = pair(windows[position], place, timing.unit)
            rate = timing.units_per_second
            yield WrittenQuery(
                where=where,
                sample_id=name_of(entry, where, video, position) if name_of else f"{video}_{position}",
                video_id=video,
                sentence=sentence(words, f"{where}: sentences[{position}]"),
                duration=timing.duration,
                windows=((quotient(start, rate, place), quotient(end, rate, place)),),
                window_key=f"{window_key}[{position}]",
                extra=_further(entry, window_key, position, len(sentences)),
            )


def _further(entry: Entry, window_key: str, position: int, queries: int) -> dict[str, Any]:
    """Other keys of an entry; of a list with an item a query, the item of this one."""
    others = {key: value for key, value in entry.items() if key not in (window_key, "sentences", "duration")}
    return {
        key: value[position] if isinstance(value, list) and len(value) == queries else value
        for key, value in others.items()
    }

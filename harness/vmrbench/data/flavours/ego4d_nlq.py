"""Ego4D NLQ, the official nested file: videos, clips, annotations, language queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.durations import Durations
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.values import (
    Window,
    WrittenQuery,
    listed,
    mapping,
    number,
    positive,
    required,
    sentence,
    shown,
    text,
)

# In `extra` on the time base `clip`: start and end of the clip in its whole video, in seconds.
SOURCE_WINDOW = "source_window"


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """A clip: where it stands in the file, its names, and what its queries count seconds in.

    window: where it lies in the whole video, in seconds; None where the file does not tell, and on the time base
    `video`, which does not need it.
    """

    where: str
    video_uid: str
    clip_uid: str
    window: Window | None
    timed_id: str
    duration: float


def read_ego4d_nlq(path: Path, document: Mapping[str, Any], options: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries; ids are `<annotation_uid>_<position>`, as the challenge counts them (empty queries count).

    On the time base `clip` the video is the clip and `video_end_sec - video_start_sec` its duration; on `video` it
    is the whole video, whose duration the file does not hold. The test file has no times: its queries have no truth.

    Raises:
        DataError: a level is not of its published shape, a value has the wrong type, or durations are missing.
    """
    whole = None
    if options.time_base == "video":
        whole = Durations(options.durations, f"{path}: Ego4D NLQ on the time base 'video'")
    for video_place, video in _objects(document, "videos", str(path)):
        video_uid = text(required(video, "video_uid", video_place), f"{video_place}: video_uid")
        for clip_place, clip in _objects(video, "clips", video_place):
            yield from _queries(clip, _timed(path, clip, clip_place, video_uid, whole), options.time_base)


def _timed(path: Path, clip: Mapping[str, Any], clip_place: str, video_uid: str, whole: Durations | None) -> _Clip:
    clip_uid = text(required(clip, "clip_uid", clip_place), f"{clip_place}: clip_uid")
    where = f"{path}, clip {shown(clip_uid)}"
    names = {"where": where, "video_uid": video_uid, "clip_uid": clip_uid}
    if whole is not None:
        return _Clip(**names, window=None, timed_id=video_uid, duration=whole.of(video_uid, where))
    # Files made for scoring alone may tell the length of a clip and not where it lies in its video.
    base = "clip" if "video_start_sec" not in clip and "clip_start_sec" in clip else "video"
    start, end = (number(required(clip, f"{base}_{edge}_sec", where), f"{where}: {edge}") for edge in ("start", "end"))
    duration = positive(end - start, f"{where}: {base}_end_sec - {base}_start_sec")
    return _Clip(**names, window=(start, end) if base == "video" else None, timed_id=clip_uid, duration=duration)


def _queries(clip: Mapping[str, Any], timed: _Clip, time_base: str) -> Iterator[WrittenQuery]:
    for annotation_place, annotation in _objects(clip, "annotations", timed.where):
        uid = text(required(annotation, "annotation_uid", annotation_place), f"{annotation_place}: annotation_uid")
        for position, (place, row) in enumerate(_objects(annotation, "language_queries", annotation_place)):
            where = f"{timed.where}, query '{uid}_{position}'"
            extra = {key: value for key, value in row.items() if key != "query"}
            names = {"clip_uid": timed.clip_uid, "annotation_uid": uid, "query_idx": position}
            window = {} if timed.window is None else {SOURCE_WINDOW: timed.window}
            yield WrittenQuery(
                where=where,
                sample_id=f"{uid}_{position}",
                video_id=timed.timed_id,
                sentence=sentence(row.get("query"), f"{place}: query"),
                duration=timed.duration,
                windows=_windows(row, time_base, where),
                window_key=f"{time_base}_start_sec, {time_base}_end_sec",
                extra={**extra, **names, "source_video": timed.video_uid, **window},
            )


def _windows(row: Mapping[str, Any], time_base: str, where: str) -> tuple[Window, ...]:
    keys = (f"{time_base}_start_sec", f"{time_base}_end_sec")
    if all(row.get(key) is None for key in keys):
        return ()
    start, end = (number(row.get(key), f"{where}: {key}") for key in keys)
    return ((start, end),)


def _objects(outer: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a list, each with its place."""
    for position, item in enumerate(listed(required(outer, key, where), f"{where}: {key}", "objects")):
        place = f"{where}: {key}[{position}]"
        yield place, mapping(item, place, "the keys of the official file")

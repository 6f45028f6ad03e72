"""SnAG and its kin: splits by name, videos in each, `annotations` with `segment` in seconds and `sentence`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.tacos import frame_clock
from vmrbench.data.flavours.values import (
    WrittenQuery,
    listed,
    mapping,
    pair,
    positive,
    query_id,
    required,
    sentence,
    shown,
    text,
)
from vmrbench.errors import DataError


def read_snag(path: Path, document: Mapping[str, Any], options: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries of one split; ids are `sentence_id`, else `<video>_<n>` with four digits, as SnAG names its text.

    The duration is `duration`, else num_frames / fps. A video without `annotations` has no queries.

    Raises:
        DataError: no split is chosen among several or it is not there, or a value has the wrong type.
    """
    split = _chosen(path, document, options.split)
    for video, value in mapping(document[split], f"{path}: {shown(split)}", "videos").items():
        where = f"{path}, split {shown(split)}, video {shown(video)}"
        text(video, f"{path}: video name")
        entry = mapping(value, where, "'annotations'")
        duration = _duration(entry, where)
        found = listed(entry.get("annotations", []), f"{where}: annotations", "segments with their sentences")
        for position, item in enumerate(found):
            place = f"{where}: annotations[{position}]"
            row = mapping(item, place, "'segment' and 'sentence'")
            given = {"qid": query_id(row["sentence_id"], f"{place}: sentence_id")} if "sentence_id" in row else {}
            yield WrittenQuery(
                where=place,
                sample_id=str(given.get("qid", f"{video}_{position:04d}")),
                video_id=video,
                sentence=sentence(required(row, "sentence", place), f"{place}: sentence"),
                duration=duration,
                windows=(pair(required(row, "segment", place), f"{place}: segment"),),
                window_key="segment",
                extra={**{key: entry[key] for key in ("fps", "num_frames", "num_clips") if key in entry}, **given},
            )


def _chosen(path: Path, document: Mapping[str, Any], split: str | None) -> str:
    if split is None and len(document) == 1:
        return next(iter(document))
    if split is None:
        raise DataError(f"{path}: splits {', '.join(map(shown, document))} found; set split to one of them")
    if split not in document:
        raise DataError(f"{path}: no split {split!r}; the file holds {', '.join(map(shown, document))}")
    return split


def _duration(entry: Mapping[str, Any], where: str) -> float:
    if "duration" in entry:
        return positive(entry["duration"], f"{where}: duration")
    return frame_clock(entry, where).duration

"""Ego4D NLQ as the official VSLNet baseline converts it: columns by clip, with `exact_times` in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmrbench.data.flavours.columns import Clock, Entry, read_columns
from vmrbench.data.flavours.options import FlavourOptions
from vmrbench.data.flavours.tacos import frame_clock
from vmrbench.data.flavours.values import WrittenQuery, listed, query_id, required
from vmrbench.errors import DataError


def read_ego4d_vslnet(path: Path, document: Mapping[str, Any], _: FlavourOptions) -> Iterator[WrittenQuery]:
    """The queries; ids are `<annotation_uid>_<query_idx>`. Its test file holds [0, 0] for every window.

    The duration is that of the features (num_frames / fps), up to 0.53 s short of the clip. Raises DataError.
    """
    return read_columns(path, document, _clock, window_key="exact_times", name_of=_name)


def _clock(entry: Entry, where: str) -> Clock:
    return replace(frame_clock(entry, where), units_per_second=1.0, unit="seconds")


def _name(entry: Entry, where: str, video: str, position: int) -> str:
    parts = []
    for key in ("annotation_uids", "query_idx"):
        column = listed(required(entry, key, where), f"{where}: {key}", "one a sentence")
        if position >= len(column):
            raise DataError(f"{where}: {len(column)} {key} found, one for every sentence expected")
        parts.append(str(query_id(column[position], f"{where}: {key}[{position}]")))
    return "_".join(parts)
